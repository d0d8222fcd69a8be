"""What a teacher answers for `finetune_chat`: the examples of a run, in its folder."""

import os
from pathlib import Path

from groundup.api.questions import make_questions
from groundup.data.reading.data import Data
from groundup.data.reading.examples import has_rows
from groundup.data.reading.options import parse_columns
from groundup.device import Compute
from groundup.files import make_folder
from groundup.finetune.config import ChatConfig
from groundup.finetune.teacher import LocalTeacher, ServedTeacher, TaughtData, Teacher, teach
from groundup.finetune.teacher_prompts import read_prompts
from groundup.finetune.teacher_server import KEY_VARIABLE, RemoteTeacher
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.weights.model_io import open_model

# Of a run's folder, what a teacher answered.
TEACHER_FOLDER = "teacher"


def taught_data(
    data: Data, run: RunFolder, config: ChatConfig, compute: Compute, progress: Progress
) -> TaughtData:
    """The teacher's answers to the prompts of `data`, in a folder of the run. Raises ConfigError,
    DataError, ModelError, NetworkError.
    """
    settings = config.teacher_tokens, config.teacher_temperature
    teacher: Teacher
    if "://" in config.teacher:
        key = os.environ.get(KEY_VARIABLE, "")
        teacher = ServedTeacher(RemoteTeacher(config.teacher, config.teacher_model, key, *settings))
    folder, file = run.path / TEACHER_FOLDER, Path(data.path)
    if not has_rows(data):
        file = make_folder(folder) / "questions.jsonl"
        if not file.exists():
            make_questions(data, file, by="words", progress=progress)
    prompts = read_prompts(file, parse_columns(data.columns))
    if "://" not in config.teacher:
        opened = open_model(config.teacher, compute, progress=progress)
        teacher = LocalTeacher(opened, compute, *settings)
    return teach(teacher, prompts, str(data.path), folder, progress=progress)
