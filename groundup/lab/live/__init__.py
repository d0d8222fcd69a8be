"""One HTML file with a language model of the reader's inside, which runs in the browser, offline.

    contents         an OpenModel -> what the page holds: config, tokenizer, weights; refusals
    tables           config and tokenizer as the page's program reads them
    live_page        contents, a text, what the model repeats -> the file
    explanation      the part that explains a prediction; explained_steps has its words
    picture          the whole model in one picture, to be zoomed
    change_controls  the part that changes the model
    train_controls   the part that trains one; training_choices has the models to choose from
    *.js             its program: tokenizer, model, sampler (each the readable twin of a room here),
                     page; of the explanation trace, formulas, draw, stages, explain; of the picture
                     picture_layout, picture_values, picture_draw, picture; of changes
                     changes, change_page; of training gradients, training, training_session (which
                     a worker runs), model_file, train_page
    *.css            its style, in the colours of all pages

Begin reading with `model.js`.
"""
