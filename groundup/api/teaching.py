"""What a teacher answers for `finetune_chat`: the examples of a run, in its folder."""

import os

from groundup.data.reading.data import Data
from groundup.data.reading.examples import read_prompts
from groundup.device import Compute
from groundup.finetune.config import ChatConfig
from groundup.finetune.distillation import TaughtData, require_same_teacher, teach
from groundup.finetune.teacher import KEY_VARIABLE, LocalTeacher, ServedTeacher, Teacher
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.train.run_lifecycle import claim_folder
from groundup.weights.model_io import open_model

# Of a run's folder, what a teacher answered.
TEACHER_FOLDER = "teacher"


def taught_data(
    data: Data,
    run: RunFolder,
    config: ChatConfig,
    compute: Compute,
    *,
    fresh: bool,
    progress: Progress,
) -> TaughtData:
    """The teacher's answers to the prompts of `data`, in a folder of the run. Raises ConfigError,
    DataError, FormatError, ModelError, NetworkError.
    """
    settings = config.teacher_tokens, config.teacher_temperature
    teacher: Teacher
    if "://" in config.teacher:
        key = os.environ.get(KEY_VARIABLE, "")
        teacher = ServedTeacher(config.teacher, config.teacher_model, *settings, key)
        prompts = read_prompts(data, progress=progress)
    else:
        prompts = read_prompts(data, progress=progress)
        opened = open_model(config.teacher, compute, progress=progress)
        teacher = LocalTeacher(opened, compute, *settings)
    claim_folder(run, kind="chat", fresh=fresh, also=(TEACHER_FOLDER,))
    folder = run.path / TEACHER_FOLDER
    if run.run_file.exists():
        require_same_teacher(folder, teacher.identity)
    return teach(teacher, prompts, str(data.path), folder, progress=progress)
