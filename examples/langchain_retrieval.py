"""A retrieval chain over an index: the answer, and the documents that it was made of with their places.

groundup index manuals --out manuals.index
python examples/langchain_retrieval.py manuals.index "How long is the warranty?" --model smollm2-135m-instruct
"""

import argparse
from operator import itemgetter

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from groundup.integrations.langchain import ChatGroundup, GroundupRetriever

PROMPT = ChatPromptTemplate.from_template(
    "Answer from these sources:\n\n{sources}\n\nQuestion: {question}"
)


def numbered(documents: list[Document]) -> str:
    return "\n\n".join(
        f"[{number}] {each.page_content}" for number, each in enumerate(documents, 1)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index")
    parser.add_argument("question")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    given = parser.parse_args()

    retriever = GroundupRetriever(index=given.index, k=2)
    model = ChatGroundup(model=given.model, max_tokens=100, temperature=0, truncate=True)
    answer = PROMPT | model | StrOutputParser()
    chain = (
        RunnablePassthrough.assign(documents=itemgetter("question") | retriever)
        .assign(sources=itemgetter("documents") | RunnablePassthrough() | numbered)
        .assign(answer=answer)
    )
    found = chain.invoke({"question": given.question})
    print(found["answer"])
    for number, document in enumerate(found["documents"], 1):
        place = document.metadata
        print(
            f"[{number}] {place['source']}, from character {place['start_index']}: {document.page_content[:60]!r}"
        )


if __name__ == "__main__":
    main()
