"""A classifier as a router between two chains: what it calls the text decides who answers.

python examples/langchain_router.py runs/quickstart/spam runs/quickstart/chat "You won a prize, call now"
"""

import sys

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableBranch, RunnableLambda, RunnablePassthrough

import groundup
from groundup.integrations.langchain import ChatGroundup


def main() -> None:
    classifier_path, chat_path, *texts = sys.argv[1:]
    classifier = groundup.open_model(classifier_path)
    model = ChatGroundup(model=chat_path, max_tokens=40, temperature=0)
    label = RunnableLambda(lambda given: classifier.classify(given["text"])["label"])
    warn = RunnableLambda(
        lambda given: f"Not answered: {given['text']!r} looks like {given['label']}."
    )
    answer = ChatPromptTemplate.from_template("{text}") | model | StrOutputParser()
    is_spam = RunnableLambda(lambda given: given["label"] == "spam")
    chain = RunnablePassthrough.assign(label=label) | RunnableBranch((is_spam, warn), answer)
    for text, said in zip(texts, chain.batch([{"text": text} for text in texts]), strict=True):
        print(f"{text} -> {said}")


if __name__ == "__main__":
    main()
