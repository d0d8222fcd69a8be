"""The evaluation tasks, one file for each kind. In: held-out items. Out: `TaskResult`s. Begin with text, the shortest; `registry` lists them."""
