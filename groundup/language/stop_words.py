"""Stop words: words of grammar, which say nothing about what a text is about. Also the language of
a text by them, without a model.

They are folded as `terms.fold` does. A language is known by its stop words: a third to a half of
the words of running text are among them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

UNKNOWN = "unknown"
# Of the first words of a text at least this share must be stop words of its language, and so many
# times those of any other.
MIN_SHARE, MIN_AHEAD = 0.15, 1.2
LOOKED_AT_WORDS = 150

_LISTS = {
    "en": "a about above after again against all also am an and any are as at be because been before being below between both but by can could d"
    " did do does doing don down during each few for from further had has have having he her here hers herself him himself his how i if in"
    " into is it its itself just ll m me more most my myself no nor not now o of off on once only or other our ours ourselves out over own re"
    " s same she should so some such t than that the their theirs them themselves then there these they this those through to too under until"
    " up ve very was we were what when where which while who whom why will with would you your yours yourself yourselves whose many much",
    "de": "aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes auch auf aus bei bin bis bist da damit"
    " dann das dass dein deine dem den denn der des dich die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem"
    " einen einer eines er es etwas euch euer fur gegen habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren"
    " ihrer im in indem ins ist ja jede jedem jeden jeder jedes kann kein keine keinem keinen keiner konnen konnte man mein meine mich mir mit"
    " muss nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner sich sie sind so soll sollte sondern uber um und"
    " uns unser unter viel vom von vor wahrend war waren warum was weil welche welchem welchen welcher welches wenn wer werde werden wie"
    " wieder will wir wird wo wollen wurde wurden zu zum zur zwischen wann wem wen woher wohin",
    "fr": "a ai alors au aucun aussi autre aux avec avoir c ce cela ces cet cette ceux chaque comme comment d dans de depuis des donc dont du elle"
    " elles en encore est et etait ete etre eu eux fait il ils j je jusque l la le les leur leurs lui m ma mais me meme mes moi mon n ne ni"
    " non nos notre nous on ont ou par parce pas peut peu plus pour pourquoi qu quand que quel quelle quelles quels qui s sa sans se ses si"
    " soit son sont sous sur t ta te tes toi ton tous tout toute toutes tres tu un une vos votre vous y",
    "es": "a al algo alguna algunas alguno algunos ante antes como con contra cual cuales cuando de del desde donde dos durante e el ella ellas"
    " ellos en entre era es esa esas ese eso esos esta estaba estado estan estar estas este esto estos fue fueron ha habia han hasta hay la"
    " las le les lo los mas me mi mis mucho muy nada ni no nos nosotros nuestra nuestro o os otra otras otro otros para pero poco por porque"
    " que quien quienes se sea segun ser si sin sobre son su sus tambien tan tanto te tiene tienen todo todos tu un una uno unos y ya yo",
    "it": "a abbiamo ad ai al alla alle allo anche avere c che chi ci come con contro cosa cui d da dagli dai dal dalla dalle de degli dei del dell"
    " della delle dello di dove e ed era erano essere fra gli ha hanno ho i il in io l la le lei li lo loro lui ma me mi mia mio ne negli nei"
    " nel nella nelle no noi non nostra nostro o ogni per perche piu quale quali quando quanto quella quelle quelli quello questa queste"
    " questi questo qui se sei si sia solo sono sta su sua sue sui sul sulla suo suoi tra tu tutti tutto un una uno vi voi",
    "pt": "a ao aos aquela aquele as ate com como da das de dela dele deles depois do dos e ela elas ele eles em entre era essa esse esta estao"
    " este eu foi foram ha isso isto ja lhe mais mas me mesmo meu minha muito na nao nas nem no nos o os ou para pela pelas pelo pelos por"
    " porque qual quando que quem se sem ser seu seus sao so sua suas tambem te tem tinha tu um uma voce voces",
    "nl": "aan al alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een en er ge geen haar had heb hebben heeft"
    " hem het hier hij hoe hun iemand iets ik in is ja je kan kon kunnen maar me meer men met mij mijn moet na naar niet niets nog nu of om"
    " omdat ons ook op over reeds te tegen toch toen tot u uit van veel voor want waren was wat werd wezen wie wij wil worden zal ze zelf zich"
    " zij zijn zo zonder zou waar waarom welke wanneer",
}
# Left out of every search: words that ask, articles, forms of "be" and "do". Longer lists lost 1 to
# 2 points of SQuAD's recall@1 (docs/retrieve.md).
_ASKING = {
    "en": "a an the is are was were be been am of in to and or what which who whom whose how when where why did do does s t",
    "de": "der die das den dem des ein eine einen einem einer eines ist sind war waren was wer wie wo wann warum welche und oder zu im in von",
    "fr": "le la les l un une des du de d est sont etait qui que qu quoi quel quelle quels quelles quand comment pourquoi et a au aux en",
    "es": "el la los las un una de del que quien quienes cual cuales cuando como donde es son fue y o a en",
    "it": "il lo la i gli le l un una di del della che chi quale quali quando come dove perche e o a in",
    "pt": "o a os as um uma de do da que quem qual quais quando como onde e ou em no na foi",
    "nl": "de het een is zijn was waren wat wie hoe waar wanneer waarom welke en of te in van",
}
ASKING_WORDS = {language: frozenset(words.split()) for language, words in _ASKING.items()}
# After "how" these ask, too: "how long".
AFTER_HOW = frozenset(
    [
        "long",
        "many",
        "much",
        "often",
        "far",
        "old",
        "tall",
        "big",
        "high",
        "large",
        "fast",
        "deep",
        "wide",
        "soon",
    ]
)
STOP_WORDS = {language: frozenset(words.split()) for language, words in _LISTS.items()}

_OWNERS = {
    word: tuple(code for code in STOP_WORDS if word in STOP_WORDS[code])
    for word in frozenset().union(*STOP_WORDS.values())
}


def language_by_stop_words(words: Sequence[str], languages: Iterable[str] = STOP_WORDS) -> str:
    """Return the language whose stop words are frequent in these folded words, or "unknown".

    >>> language_by_stop_words("wie lange ist die garantie auf der pumpe".split())
    'de'
    """
    looked_at = words[:LOOKED_AT_WORDS]
    counted = Counter(dict.fromkeys(languages, 0))
    for owners, count in Counter(map(_OWNERS.get, looked_at)).items():
        for code in owners or ():
            if code in counted:
                counted[code] += count
    (first, most), (_, next_most) = [*counted.most_common(2), ("", 0), ("", 0)][:2]
    if most == 0 or most < MIN_SHARE * len(looked_at) or most < MIN_AHEAD * next_most:
        return UNKNOWN
    return first
