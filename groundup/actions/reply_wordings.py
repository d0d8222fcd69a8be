"""Wordings of short replies in German, French and Spanish, beside the English ones of `replies.py`:
few, and all that the page's buttons say (`language/messages`, section page).
"""

import re

# Matched as those of `replies.py`: whole, in small letters, one space between the words.
WORDINGS = {
    "filler": (
        "bitte|danke(?: schön| sehr)?|doch|gerne?|merci(?: beaucoup| bien)?",
        "s'il (?:vous|te) pla[iî]t|por favor|(?:muchas )?gracias",
    ),
    "yes": (
        "jawohl|gerne?|genau|richtig|stimmt|in ordnung|einverstanden|das (?:stimmt|passt)",
        "bien sûr|d'accord|exactement|c'est (?:ça|bon|exact|correct)|entendu",
        "sí|claro(?: que sí)?|vale|de acuerdo|correcto|exacto|está bien|es correcto",
    ),
    "done": (),
    "no": (
        "nee|(?:lieber|doch) nicht|(?:das )?stimmt nicht|(?:das ist )?(?:falsch|nicht richtig)",
        "pas du tout|ce n'est pas (?:ça|exact|correct)|c'est faux|surtout pas",
        "(?:no )?(?:es|está) (?:incorrecto|mal)|no es (?:así|correcto)|mejor no",
    ),
    "leave": (
        "abbrechen|brechen sie (?:das |es )?ab|(?:vergessen|lassen) sie (?:es|das)",
        "(?:vergiss|lass) es|(?:das )?hat sich erledigt|ich habe es mir anders überlegt|nicht mehr nötig",
        "abandonne[rz]|laisse[rz]?(?: tomber)?|j'ai changé d'avis|(?:ce n'est )?plus la peine",
        "cancelar|cancele|déjelo|déjalo|olvídelo|olvídalo|he cambiado de (?:idea|opinión)"
        "|ya no (?:hace falta|lo necesito)",
    ),
    "wait": (
        "(?:(?:einen? )?(?:kleinen )?(?:moment|augenblick)|sekunde)(?: mal)?|warte(?:n sie)?",
        "(?:un (?:moment|instant)|une seconde)|attende[sz]|un (?:momento|segundo)|espere?",
    ),
    "undo": (
        "(?:machen sie (?:das|es) )?(?:wieder )?rückgängig(?: machen)?",
        "annule[rz](?: (?:l'opération|ça|cela))?",
        "deshacer(?:lo)?|deshágalo|deshaz(?:lo)?",
    ),
}
# What takes a yes back or binds it to something: "ja, aber um acht".
HESITATES = re.compile(
    r"\b(?:aber|nicht|kein\w*|nein|doch|erst|später|statt|lieber|wenn|falls|sofern|außer|nur|oder"
    r"|warte\w*|moment|noch|mais|pas|non|plutôt|sauf|si|seulement|attend\w*|ou|quand|avant|après"
    r"|pero|nunca|solo|sólo|antes|después|primero|esper\w+|mejor|excepto|menos|o|cuando|salvo)\b",
    re.IGNORECASE,
)
