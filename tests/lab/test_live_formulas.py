"""What the page says of a number is how the model computes it: its formula gives that number."""

import math

from groundup.tokenizer.fast import Tokenizer
from tests.live_shapes import SHAPES, needs_node, open_shape, run_in_node

TEXT = "To be, or not to be, that is the question"
ALSO = {
    "sinusoidal": {"positions": "sinusoidal", "block": "post"},
    "ALiBi": {"positions": "alibi", "scaled_embedding": True},
    "caps": {"score_softcap": 5.0, "logit_softcap": 8.0, "embedding_norm": True},
}
# Of every list of each trace some numbers: the value, that of its formula, and whether all that it came from is there.
EXPLAIN = """(models, given) => Object.fromEntries(Object.entries(models).map(([name, held]) => {
  given.ids.forEach((id, position) => held.model.step(id, position));
  const look = new Inside(held.model, held.tokenizer, given.ids, given.ids.length - 1, null);
  const found = [...look.trace.values].flatMap(([key, values]) => {
    const [list, layer, head] = key.split(" ").map((part, place) => (place ? Number(part) : part));
    return [0, 7, values.length - 1].filter((index) => index < values.length).map((index) => {
      const ref = { name: list, index, ...(layer >= 0 ? { layer } : {}), ...(head >= 0 ? { head } : {}) };
      const { title, words, symbols, numbers, value, from } = look.explain(ref);
      const known = from.every((source) => source.ref.name === "tokens" || FORMULAS[source.ref.name]);
      const lists = from.every(({ ref: each }) => ["tokens", "angle"].includes(each.name) || look.list(each) || each.head !== undefined);
      return { key, index, given: values[index], value, known: known && Boolean(lists), said: [title, words, symbols, numbers] };
    });
  });
  return [name, found];
}))"""


@needs_node
def test_the_formula_of_every_number_gives_that_number(tokenizer: Tokenizer) -> None:
    models = {name: open_shape(tokenizer, **shape) for name, shape in (SHAPES | ALSO).items()}
    ids = tokenizer.encode(TEXT)
    for name, found in run_in_node(EXPLAIN, models, ids=ids).items():
        assert len(found) > 60
        for each in found:
            where = name, each["key"], each["index"], each["said"]
            assert math.isclose(each["value"], each["given"], rel_tol=1e-4, abs_tol=2e-5), where
            assert each["known"], where
            assert all(each["said"]), where
            assert "undefined" not in str(each["said"]), where
            assert "NaN" not in str(each["said"]), where


@needs_node
def test_an_arrow_turns_by_place_times_speed_and_shares_become_probabilities(
    tokenizer: Tokenizer,
) -> None:
    asked = """(models, { ids }) => {
      const { model, tokenizer } = models.tiny, position = ids.length - 1;
      ids.forEach((id, place) => model.step(id, place));
      const sampling = { temperature: 0.5, top_k: 3, top_p: 1, seed: 0 };
      const look = new Inside(model, tokenizer, ids, position, sampling);
      const index = argmax(look.steps[3]);
      return {
        angle: look.explain({ name: "angle", index: 1, layer: 0 }).value,
        speed: model.config.rotations[0].frequencies[1], position,
        length: look.explain({ name: "length", index: 0, of: "attention", layer: 0 }),
        guess: look.explain({ name: "guess", index, layer: 2 }).value,
        model: look.steps[0][index], share: look.explain({ name: "share", index, step: 3 }),
        likeness: look.explain({ name: "similarity", index: ids[position] }).value,
        cold: new Inside(model, tokenizer, ids, position, { ...sampling, temperature: 0 }).explain({ name: "share", index, step: 3 }),
        same: figure(-0.00001) + figure(Infinity) + figure(1234.5) + figure(-0.5),
      };
    }"""
    found = run_in_node(asked, {"tiny": open_shape(tokenizer)}, ids=tokenizer.encode(TEXT))
    assert math.isclose(found["angle"], found["position"] * found["speed"], rel_tol=1e-6)
    assert math.isclose(found["guess"], found["model"], rel_tol=1e-5)
    assert math.isclose(found["likeness"], 1, rel_tol=1e-6)
    assert "3 tokens" in found["share"]["numbers"]
    assert found["cold"]["value"] == 1
    assert "is the largest" in found["cold"]["numbers"]
    assert found["length"]["value"] > 0
    assert found["same"] == "−1e−5∞1235−0.50"
