"""A small model that learnt the suite's own questions by heart: it says, calls and fills what they ask for."""

import json
from pathlib import Path

from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests.chat_models import (
    magic_function,
    magic_function_no_args,
    unicode_customer,
)
from small_models import TOOL_TEMPLATES, _save_taught, with_template

from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import train_tokenizer
from groundup.tokenizer.tools import Tool, ToolCall

JOKE = json.dumps({"setup": "Why?", "punchline": "Cats."})
BARE_JOKE = json.dumps({"setup": "Why?"})
IN_JSON = "Tell me a joke about cats. Return the result as a JSON with 'setup' and 'punchline' keys. Return nothing other than JSON."
SPOKEN = {
    "Hello": "Hello there.",
    "Hey": "Hey there.",
    "hi": "Hi.",
    "Write me 2 haikus. Only include the haikus.": "A cat on a mat.",
    "Tell me a joke about cats.": JOKE,
    "Give me the setup to a joke about cats, no punchline.": BARE_JOKE,
    "Give me a joke about cats, include the punchline.": JOKE,
    IN_JSON: JOKE,
}
GREETING: Tool = {
    "type": "function",
    "function": {
        "name": "greeting_generator",
        "description": "Generate a greeting in a particular style of speaking.",
        "parameters": {
            "properties": {"answer_style": {"type": "string"}},
            "required": ["answer_style"],
            "type": "object",
        },
    },
}


@tool
def get_weather(location: str) -> str:
    """Get the weather at a location."""
    return "It's sunny."


CALLED = [
    ("What is the value of magic_function(3)? Use the tool.", magic_function, {"input": 3}),
    ("What is the value of magic_function_no_args()? Use the tool.", magic_function_no_args, {}),
    ("Using the tool, generate a Pirate greeting.", GREETING, {"answer_style": "Pirate"}),
    ("What is the weather in San Francisco, CA?", get_weather, {"location": "San Francisco, CA"}),
    (
        "Create a customer named '你好啊集团' (Hello Group) - a Chinese technology company",
        *(unicode_customer, {"customer_name": "你好啊集团", "description": "Chinese"}),
    ),
    (
        "Create a customer named 'こんにちは株式会社' (Hello Corporation) - a Japanese company",
        *(unicode_customer, {"customer_name": "こんにちは株式会社", "description": "Japanese"}),
    ),
]


def save_answers(folder: Path, steps: int = 1200) -> Path:
    """Teach and save the model; ten seconds."""
    conversations = [
        Conversation((Message("user", each), Message("assistant", said)))
        for each, said in SPOKEN.items()
    ]
    for question, function, arguments in CALLED:
        described = function if isinstance(function, dict) else convert_to_openai_tool(function)
        call = ToolCall(described["function"]["name"], arguments)
        turns = (Message("user", question), Message("assistant", "", (call,)))
        conversations.append(Conversation(turns, (described,)))
    words = with_template(
        train_tokenizer([repr(conversations)] * 2, 1500), TOOL_TEMPLATES["tagged"]
    )
    return _save_taught(
        folder, words, [render(each, words).ids for each in conversations], steps, decays=True
    )
