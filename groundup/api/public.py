"""The Python surface of groundup: what `import groundup` hands out, for notebooks and scripts. The
verbs of the command line call the same.

    open_assistant -> Assistant   reply, parts; the documents and fixed texts of a build
    open_model -> Model      generate, stream, chat, classify, score, embed, save; its tokenizer
    pretrain, run_research, search_mixture, finetune_classifier, finetune_chat,
    finetune_preference, finetune_encoder,
        run_evaluation, run_suites, run_questions, run_memorised, build
                                          each returns the results that it writes
    inspect_data, train_tokenizer, index, calibrate_index, tune_index, search, ask
                                          texts and documents (documents.py)
    make_questions                        questions made from documents (questions.py)
    finetune_reward                       learning from rewards (rewards.py)
    pull, convert                         a model's files (models.py)

A path is a `str` or a `Path`; the device is chosen where none is named (cuda, then mps, then cpu);
`progress` is told how far the work is. The same call again resumes a stopped run. Options are
fields of a config (`PretrainConfig`, `ChatConfig`, `EvaluationConfig`, `BuildConfig` ...). Errors
are GroundupErrors, with a message and what to do. Functions import what they need when they are
called: this module comes without torch.
"""

from groundup.api.assistant import open_assistant as open_assistant
from groundup.api.documents import ask as ask
from groundup.api.documents import calibrate_index as calibrate_index
from groundup.api.documents import index as index
from groundup.api.documents import inspect_data as inspect_data
from groundup.api.documents import search as search
from groundup.api.documents import train_tokenizer as train_tokenizer
from groundup.api.documents import tune_index as tune_index
from groundup.api.encoders import finetune_encoder as finetune_encoder
from groundup.api.evaluation import run_evaluation as run_evaluation
from groundup.api.evaluation import run_memorised as run_memorised
from groundup.api.evaluation import run_questions as run_questions
from groundup.api.evaluation import run_suites as run_suites
from groundup.api.models import Model as Model
from groundup.api.models import convert as convert
from groundup.api.models import open_model as open_model
from groundup.api.models import pull as pull
from groundup.api.questions import make_questions as make_questions
from groundup.api.rewards import finetune_reward as finetune_reward
from groundup.api.training import build as build
from groundup.api.training import finetune_chat as finetune_chat
from groundup.api.training import finetune_classifier as finetune_classifier
from groundup.api.training import finetune_preference as finetune_preference
from groundup.api.training import pretrain as pretrain
from groundup.api.training import run_research as run_research
from groundup.api.training import search_mixture as search_mixture
from groundup.data.reading.data import Data as Data
from groundup.evaluate.config import EvaluationConfig as EvaluationConfig
from groundup.finetune.config import ChatConfig as ChatConfig
from groundup.finetune.config import ClassifierConfig as ClassifierConfig
from groundup.finetune.config import EncoderConfig as EncoderConfig
from groundup.finetune.config import PreferenceConfig as PreferenceConfig
from groundup.finetune.reward_config import RewardConfig as RewardConfig
from groundup.planning.pretrain_config import ContinuedTraining as ContinuedTraining
from groundup.planning.pretrain_config import ModelShape as ModelShape
from groundup.planning.pretrain_config import PretrainConfig as PretrainConfig
from groundup.planning.pretrain_config import SourceShares as SourceShares
from groundup.planning.pretrain_config import TextPreparation as TextPreparation
from groundup.recipes.build_config import BuildConfig as BuildConfig
from groundup.research.mixture.config import MixtureSearchConfig as MixtureSearchConfig
from groundup.research.research_config import ResearchConfig as ResearchConfig
from groundup.research.switches import Switch as Switch
from groundup.retrieve.questions_config import QuestionsConfig as QuestionsConfig
from groundup.train.optimizers.adamw import AdamW as AdamW
from groundup.train.optimizers.muon import Muon as Muon
from groundup.train.optimizers.sgd import SGD as SGD
from groundup.train.pretrain_results import PretrainResults as PretrainResults
from groundup.train.steps.config import Checkpoints as Checkpoints
from groundup.train.steps.config import Rows as Rows
from groundup.train.steps.config import Schedule as Schedule
from groundup.train.steps.config import Stability as Stability
