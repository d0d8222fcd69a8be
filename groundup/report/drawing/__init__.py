"""Charts as inline SVG: values in, nodes out, no file touched. `frame` (sizes, scales, axes), `lines`, `rows`, `heatmap`, `icons`.

Why drawn by hand and not by a library. The page's content security policy allows one style sheet, named by its hash, and no
`style` attribute. The libraries that write static SVG (matplotlib, pygal, the renderers of Vega and Plotly) put a style attribute on
nearly every element, or a sheet of their own into every picture: the policy would leave their charts black. Ours carry class
names instead, so one sheet themes text and charts together (light, dark, print), text stays text (selectable, read aloud), and
a page of fifteen pictures takes milliseconds and no dependency. It stays small because the page needs four forms only:
lines over steps, bars and dots with whiskers in a table's rows, and heat maps.
"""
