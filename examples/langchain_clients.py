"""One chain, whoever runs the model: in this process, and through LangChain's clients against `groundup serve`.

groundup serve smollm2-135m-instruct
python examples/langchain_clients.py http://127.0.0.1:11434 smollm2-135m-instruct --path smollm2-135m-instruct
"""

import argparse
import os

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langchain_perplexity import ChatPerplexity

from groundup.integrations.langchain import ChatGroundup


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("name", help="the model's name at this address")
    parser.add_argument("--path", help="the same model here: its name or path")
    given = parser.parse_args()

    os.environ["PERPLEXITY_BASE_URL"] = given.address  # the only way to tell its client
    models: list[BaseChatModel] = [
        ChatOllama(
            base_url=given.address,
            model=given.name,
            temperature=0,
            num_predict=20,
            repeat_penalty=1.0,
        ),
        ChatOpenAI(
            base_url=f"{given.address}/v1",
            api_key="any",
            model=given.name,
            temperature=0,
            max_tokens=20,
        ),
        ChatPerplexity(pplx_api_key="any", model=given.name, temperature=0, max_tokens=20),
    ]
    if given.path:
        models.append(ChatGroundup(model=given.path, temperature=0, max_tokens=20, tools="forced"))
    for model in models:
        chain = (
            ChatPromptTemplate.from_template("Say something about {topic}.")
            | model
            | StrOutputParser()
        )
        print(f"{type(model).__name__}: {chain.invoke({'topic': 'the sea'})!r}")


if __name__ == "__main__":
    main()
