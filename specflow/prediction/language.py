# ruff: noqa: RUF001
# (the signs and words of many scripts are meant)
"""Word lists: how models announce, refuse, suppose, amend and postpone an action, in several languages.

Lists and nothing else, so that a language is added without touching the reading.
"""

from __future__ import annotations

from specflow.prediction.phrases import Phrases
from specflow.prediction.words import word_set

# First person, or nobody at all: the speaker commits to doing something next.
COMMIT = Phrases("""
i'll|i will|i shall|i'm going to|i am going to|i'm about to|let me|let's|let us|we'll|we will
|we need to|i need to|i'll need to|i will need to|we should|i should|i must|i have to|we have to
|we must|i've got to|i want to|i'd better|next step is to|next step would be to|first step is to
|step is to|next i|next, i|now i|time to|going to|i'm now|i am now|i'm|i am|i'll now|so i|need to
|should|must|proceed to|proceed with|proceeding to|proceeding with|i can now|i can also|allow me to
|the plan is to|i plan to|i'd like to|the next action is to|go ahead and|have to|action:|my action
|ich werde|ich muss|ich sollte|ich soll|lass mich|lassen sie mich|ich will|ich möchte|ich
|wir sollten|jetzt|als nächstes|je vais|je dois|laissez-moi|laisse-moi|il faut|je|nous allons|voy a
|vamos a|déjame|dejame|permíteme|debo|necesito|tengo que|vou|preciso|deixe-me|deixa-me|devo|vado a
|lasciami|ik ga|laat me|ik moet|jeg skal|jeg vil|la meg|jeg må|jag ska|låt mig|jag måste|我来|让我|我将|我会
|我需要|我要|我应该|我先|接下来|調べます|検索します
""")
# Weaker: possible, not yet decided.
MAY = Phrases("""
i can|we can|i could|we could|i'll be able to|able to|i might|i may|maybe|perhaps|possibly|puedo
|ich kann|je peux|我可以
""")
NEED = Phrases("""
i need|we need|i'll need|need|i want|necesito|brauche ich|ich brauche|il me faut|j'ai besoin|我需要
""")
NEGATED = Phrases("""
not|no need|never|don't|doesn't|didn't|won't|can't|cannot|couldn't|shouldn't|wouldn't|needn't
|mustn't|isn't|without|unable|avoid|rather than|instead of|no longer|no reason to|refrain|stop|nor
|neither|unnecessary|already|skip|no point|nicht|kein|keine|keinen|nie
|ne|n'ai|pas|jamais|no|não|nunca|ikke|inte|niet|non|不|不要|不用|不会|没有|别
""")
# Before the action these make it a supposition.
SUPPOSED = Phrases("""
if|unless|in case|would|could|might|may|once|when|whenever|until|suppose|supposing|assuming
|hypothetically|imagine|provided that|otherwise|in theory|whether|only after|only if|example|e.g
|for instance|such as|policy|rule|rules|after|were to|as soon as|wenn|falls|sobald|würde|könnte|si
|quand|pourrais|cuando|podría|se|quando|poderia|hvis|om|als je|als u|als de|als het|如果|要是|假如|当
""")
# After the action: it waits for somebody.
AWAITS = Phrases("""
if you|if the user|if they|once you|once the user|once they|when you|after you|after the user|unless
|provided you|upon your|with your permission|if needed|if necessary|if that|if so|if it|if i|only if
|if any|later|would you|if i can|if possible|as soon as you|before i can|until you|until the
|si usted|si quieres|wenn sie|falls sie|si vous|如果您|如果你
""")
# Postponed: not the very next thing.
DEFERRED = Phrases("""
then|afterwards|after that|after this|later|eventually|next time|finally|subsequently|once done|dann
|danach|ensuite|puis|después|luego|depois|然后|之后
""")
# Talking about somebody else, or about the past: never an announcement.
PAST = Phrases("""
made|called|returned|received|i've|i have already|i already|i had|i did|was|were|has been|have been
|earlier i|previously|i called|i used
""")
AMENDS = Phrases("""
wait|actually|instead|scratch that|on second thought|hold on a second|hmm no|no wait|correction
|rather|never mind|nevermind|i was wrong|that's wrong|that is wrong|that was wrong|my mistake|oops
|not right|moment mal|stattdessen|attends|plutôt|espera|en realidad|mejor|等等|不对
""")
TAKES_BACK = Phrases("""
wait, no|no, wait|scratch that|on second thought|never mind|nevermind|correction|that's wrong
|that is wrong|my mistake|hmm, no|actually, no|actually no|wait no|forget that|i was wrong|等等，不|不对
""")
# The speaker turns to the user: calls that change something wait for the answer.
ASKS_LEAVE = Phrases("""
please confirm|would you like me|do you want me|shall i|should i|do you confirm|(yes/no)
|explicit confirmation|explicit user confirmation|obtain confirmation|ask for confirmation
|need confirmation|your confirmation|get confirmation|confirm with the user|ask the user
|would you like to|is that okay|is this correct|do you wish|ask for
""")
HAS_LEAVE = Phrases("""
has confirmed|have confirmed|confirmed|said yes|says yes|answered yes|user agreed|agreed to
|has approved|approved
""")
QUESTION = word_set("""
would do does did shall should could can may is are was were have has will what which who when where
how why
""")
# Actions that are not tools: what follows them is said to somebody.
SPEECH = word_set("""
ask asking request requesting confirm confirming clarify clarifying inform informing tell telling
explain explaining apologize apologizing wait waiting respond responding reply replying say saying
thank note remember remind understand think consider assume know help assist assisting be suggest
recommend offer offering deny follow mention present summarize see present output stick follow
adhere decline refuse let
""")
# After a noun that is also a verb, these make it the subject of a statement.
REPORTS = word_set("""
shows show says suggests indicates is was are were has have had will can may of results found and or at back
through over
""")
# Which of several known things is meant.
ORDINALS = {
    "first": 0,
    "second": 1,
    "third": 2,
    "fourth": 3,
    "fifth": 4,
    "sixth": 5,
    "1st": 0,
    "2nd": 1,
    "3rd": 2,
}
PLURALS = word_set("""
each both all these those them several every
""")
# Words between the announcement and its verb that change nothing.
FILLERS = word_set("""
now first also quickly just then next please again still simply immediately really probably
definitely certainly directly go ahead and proceed to start begin by with try trying continue both
further use using call calling make a the be able quick last instead actually me so up for this that
you it need have want do going step i'll i is like must should work
""")
# Verbs by what they do. A tool's family is read off its name or the start of its description.
VERBS = {
    "read": "get check look retrieve fetch pull review verify view show read access examine inspect query "
    "gather obtain load determine identify find search browse explore locate list enumerate count monitor "
    "track lookup open research analyze scan watch ping download visit crawl compare validate",
    "search": "search find look browse explore locate query lookup research",
    "list": "list enumerate",
    "book": "book reserve",
    "buy": "buy purchase order",
    "cancel": "cancel void abort",
    "update": "update modify change edit adjust upgrade downgrade amend rename set switch move replace "
    "correct patch",
    "send": "send email notify post publish forward message text",
    "create": "create add register schedule issue insert open write generate draft save upload "
    "store submit file apply",
    "delete": "delete remove erase drop clear",
    "compute": "calculate compute evaluate convert add sum estimate translate",
    "transfer": "transfer escalate hand route",
    "return": "return",
    "exchange": "exchange swap",
    "pay": "pay charge refund reimburse credit debit",
    "call": "call use invoke run execute",
}
READING = frozenset({"read", "search", "list"})
GENERIC = word_set("""
detail details info information data status item items record records tool api by all of the
""")
PREPOSITIONS = {
    "from": "from von de depuis desde da fra från ab out leaving departing 从 から",
    "to": "to nach à para til till into towards toward vers hasta destination 到 へ 至",
    "on": "on am le el em den på dated 于",
    "in": "in im en at around near of i für 在",
    "for": "for für pour por about named called regarding about as par 为",
    "by": "by via with using mit avec con com",
}
NOT_NAMES = word_set("""
i the a an let first so now then next user step according since because before after if but and or
to for my your their his her this that these those it its we you they he she what when where which
who how why also however based looking good great ok okay yes no please perfect thank thanks sure
once need should must id ids not all any each both here there hi hello dear policy tool tools api
json date flight flights reservation reservations order orders number one two three let's i'll i'm
i've monday tuesday wednesday thursday friday saturday sunday january february march april may june
july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec est
utc pm am only from response search call function
""")


def _roles() -> dict[str, str]:
    return {word: role for role, words in PREPOSITIONS.items() for word in words.split()}


def _forms(verb: str) -> tuple[str, ...]:
    """The base and the -ing form: the past is a report, not an announcement."""
    if verb.endswith("e"):
        return verb, verb[:-1] + "ing"
    doubled = verb + verb[-1] + "ing"
    return verb, verb + "ing", doubled


def _families() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for family, verbs in VERBS.items():
        for verb in verbs.split():
            for form in _forms(verb):
                found.setdefault(form, set()).add(family)
    return {form: frozenset(names) for form, names in found.items()}


ROLE_OF = _roles()
FAMILIES_OF = _families()
