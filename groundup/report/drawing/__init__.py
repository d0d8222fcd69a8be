"""Charts as inline SVG: values in, nodes out. `lines` has curves over steps, `rows` bars and whiskers in the rows of a table.

Why not a library: the page's content security policy allows one style sheet, named by its hash, and no `style` attribute. matplotlib,
pygal and the renderers of Vega and Plotly put a style attribute on nearly every element or a style sheet into every picture, which the
policy blocks. These charts carry class names instead: one style sheet serves text and charts (light, dark, print), text stays
selectable, and a page of fifteen charts takes milliseconds and no dependency.
"""
