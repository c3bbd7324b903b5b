"""The words by which tools say what they do. Data only, and frozen.

Written from general knowledge of APIs before anything was scored with it, and not tuned since: a
lexicon fitted to labelled tools says nothing about the next tool. `FINGERPRINT` guards the words; a
change needs a new date, a new fingerprint and a new row in the table of the how-to guide.

Every word stands here in its base form; `words.py` knows the inflections.
"""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

import hashlib

FROZEN = "2026-11-21"
FINGERPRINT = "a3692833c8c87e587aa5229b3603c693e92079172a448ab09fe639c8bcdac220"

READ = frozenset(
    """
    get list search find fetch read retrieve lookup look show view display describe inspect examine
    count check verify validate calculate compute compare estimate evaluate analyze analyse summarize
    summarise explain preview peek query browse enumerate explore obtain determine identify locate
    measure convert translate parse diff detect classify extract infer predict recommend suggest lint
    stat tail cat ls pwd whoami grep decode hash rank discover
    """.split()
)
"""Verbs of tools that only look."""

WEAK_READ = frozenset(
    """
    monitor ping access provide give tell ask match report return format sort filter encode average sum
    is are can has exist exists contains think reflect reason define test resolve output
    """.split()
)
"""Too loose to speak for a read in a name; they do where a description opens with them."""

WRITE = frozenset(
    """
    create add insert append prepend delete remove destroy drop erase purge wipe truncate
    modify edit alter overwrite upsert rename replace write save persist send submit publish
    unpublish upload cancel pay buy sell reimburse withdraw
    reserve unreserve enable disable activate deactivate reactivate suspend terminate
    kill restart reboot shutdown launch trigger execute invoke apply install uninstall
    downgrade grant revoke assign unassign reassign allocate deallocate attach detach subscribe
    unsubscribe register unregister deregister enroll unenroll approve reject accept decline confirm
    authorize authorise unlock unarchive revert rollback undo redo rebase unfollow unfriend
    unlike unstar unpin unmute unblock unset untag unlink unlabel unmark unschedule invite kick unban
    notify remind respond dispatch enqueue dequeue pop consume
    acknowledge ack acquire increment decrement toggle flip swap shuffle
    mkdir rmdir rm mv cp chmod chown initialize initialise provision deprovision
    migrate sync synchronize synchronise refresh login logout signin signup signout
    authenticate disconnect join finish reopen
    escalate rotate regenerate generate make configure adjust extend renew rebook reschedule redeem
    settle enter navigate click swipe drag scroll fill choose raise increase decrease
    bookmark favorite favourite upvote downvote donate topup redeploy cordon taint evict flush discard
    tweet retweet crop resize unshare unfavorite unbookmark uncordon del exec eval init
    """.split()
)
"""Verbs of tools that change something. One of them anywhere in a name, or as a verb in a description,
is a write signal."""

NOUN_OR_VERB = frozenset(
    """
    order book post comment message report log request record charge set change release issue free
    archive lock ship store cache watch like follow share vote call email mail text note schedule plan
    label tag link file process run build deploy fork star pin block friend review draft
    download export import track stream print queue map address contact
    transfer payment credit debit bill tip rate place type select press tap move copy start stop
    reset update upgrade patch commit push merge exchange deposit purchase refund return alert
    reply exit leave close complete lower split fly drive walk go pick turn scale
    void claim capture forward shift duplicate clone restore backup
    snapshot clear mute ban connect put mark open load handle perform do use work play pause
    resume roll draw spin deal take hold receive poll scan visit step advance next tick
    switch warm cycle invert
    """.split()
)
"""Words that name a thing as often as an act. They count as an act only where an act stands (at the head
of a name, at the opening of a description, after `and`, after `will`); as an act they are a write."""

PHRASES = frozenset(
    {
        ("check", "in"), ("check", "out"), ("check", "off"), ("sign", "in"), ("sign", "up"), ("sign", "out"),
        ("log", "in"), ("log", "out"), ("opt", "in"), ("opt", "out"), ("turn", "on"), ("turn", "off"),
        ("set", "up"), ("clean", "up"), ("back", "up"), ("pick", "up"), ("drop", "off"), ("fill", "in"),
        ("hand", "over"), ("hand", "off"), ("give", "back"), ("send", "back"), ("top", "up"), ("shut",
        "down"),
        ("read", "receipt"), ("or", "create"), ("and", "replace"), ("and", "lock"), ("as", "read"),
    }
)  # fmt: skip
"""Two words that together are a write, whatever each is alone."""

STATE_NOUNS = frozenset(
    """
    detail details status state info information history list lists count counts summary summaries
    id ids number numbers total totals balance price prices data date dates time times record records
    statistics stats metadata result results types type
    """.split()
)
"""After a word that may be noun or verb, these make it a noun: `order_status`."""

IRREVERSIBLE = frozenset(
    """
    send email mail message text notify alert remind call tweet retweet post publish pay charge purchase
    buy sell
    refund reimburse withdraw transfer donate tip debit bill settle capture execute run invoke print
    submit dispatch deploy ship forward reply respond invite purge wipe destroy erase truncate
    escalate redeem exchange
    """.split()
)
"""Acts that another person or another system has seen or booked by the time they could be undone."""

CREATORS: dict[str, tuple[str, ...]] = {
    "create": ("delete", "remove", "destroy", "drop", "cancel", "close"),
    "add": ("remove", "delete"),
    "insert": ("delete", "remove"),
    "append": ("remove",),
    "book": ("cancel",),
    "reserve": ("cancel", "release", "unreserve"),
    "order": ("cancel",),
    "place": ("cancel",),
    "schedule": ("cancel", "unschedule"),
    "register": ("unregister", "deregister", "delete"),
    "allocate": ("deallocate", "release", "free"),
    "hold": ("release",),
    "acquire": ("release",),
    "open": ("close",),
    "start": ("stop", "cancel", "terminate"),
    "launch": ("stop", "terminate"),
    "provision": ("deprovision", "destroy", "delete"),
    "upload": ("delete", "remove"),
    "save": ("delete", "remove"),
    "make": ("delete", "cancel"),
    "mkdir": ("rmdir",),
    "install": ("uninstall",),
    "request": ("cancel",),
    "draft": ("discard", "delete"),
    "clone": ("delete",),
    "copy": ("delete",),
    "duplicate": ("delete",),
    "put": ("delete", "remove"),
}
"""An act that brings something new about, and the acts that take the new thing away again."""

SWITCHES: tuple[tuple[str, str], ...] = (
    ("add", "remove"),
    ("enable", "disable"),
    ("activate", "deactivate"),
    ("lock", "unlock"),
    ("subscribe", "unsubscribe"),
    ("follow", "unfollow"),
    ("star", "unstar"),
    ("like", "unlike"),
    ("pin", "unpin"),
    ("archive", "unarchive"),
    ("mute", "unmute"),
    ("block", "unblock"),
    ("ban", "unban"),
    ("assign", "unassign"),
    ("attach", "detach"),
    ("link", "unlink"),
    ("tag", "untag"),
    ("label", "unlabel"),
    ("set", "unset"),
    ("set", "clear"),
    ("mark", "unmark"),
    ("join", "leave"),
    ("connect", "disconnect"),
    ("suspend", "resume"),
    ("pause", "resume"),
    ("enroll", "unenroll"),
    ("grant", "revoke"),
    ("bookmark", "unbookmark"),
    ("favorite", "unfavorite"),
    ("share", "unshare"),
    ("publish", "unpublish"),
    ("cordon", "uncordon"),
    ("login", "logout"),
)
"""Acts that set a state and the acts that set it back, if it was not already so before."""

ADVERBS = frozenset("quickly safely simply securely efficiently just please only also".split())

OPENINGS = frozenset(
    """
    this tool function api endpoint method operation command action helper utility a an the use used uses
    using to for allows allow allowing lets let you your user users agent enables enabling can could
    be is it that which will would helps help call calls performs perform provides provide ability
    """.split()
)
"""Words before the verb of a description: `This tool allows you to ...`."""

REFERENCES = frozenset(
    """
    before after when if whether once until about on unless while whenever how why what which
    that who whose where than as prior
    """.split()
)
"""Words after which a verb speaks of another act, at another time: `call this before deleting`."""

NEGATIONS = frozenset(
    """
    not no never without cannot don doesn didn won can't cannot isn aren neither nor non
    don't doesn't didn't won't isn't aren't
    """.split()
)

EXECUTES = frozenset(
    """
    command commands cmd shell script code program source_code snippet bash python javascript js
    sql statement statements stmt ddl dml mutation
    """.split()
)
"""Parameters that carry a program: the effect is whatever they hold."""

CHOOSES = frozenset(
    "action actions operation op verb method http_method mode subcommand command_type request_type".split()
)
"""Parameters that choose the operation."""

SINKS = frozenset(
    """
    output_path output_file out_file out_path save_to save_path save_as dest destination_path dst
    destination_file target_path target_file outfile webhook webhook_url callback callback_url
    """.split()
)
"""Parameters that say where something is put."""

PAYLOADS = frozenset(
    """
    content contents body payload new_value value values attachment attachments patch diff changes
    updates fields password
    """.split()
)
"""Parameters that carry what is to be stored or sent; a read seldom has one."""

CURSORS = frozenset("next pop dequeue poll consume advance tick step draw deal receive shift drain".split())
RANDOM = frozenset("random randomly randomize randomise shuffle roll dice sample seed uuid guess".split())
CACHES = frozenset(
    "cache caches cached caching memoize memoise memoized memo lazily lazy prefetch warm refreshes".split()
)
TOGGLES = frozenset("toggle flip invert switch swap cycle".split())


def fingerprint() -> str:
    """SHA-256 over every table, in hex."""
    tables = (
        READ, WEAK_READ, WRITE, NOUN_OR_VERB, {" ".join(pair) for pair in PHRASES}, STATE_NOUNS,
        IRREVERSIBLE, ADVERBS, OPENINGS, REFERENCES, NEGATIONS, EXECUTES, CHOOSES, SINKS, PAYLOADS, CURSORS,
        RANDOM, CACHES, TOGGLES,
    )  # fmt: skip
    text = "\n".join(" ".join(sorted(table)) for table in tables)
    pairs = sorted((verb, *undos) for verb, undos in CREATORS.items()), sorted(SWITCHES)
    return hashlib.sha256(f"{FROZEN}\n{text}\n{pairs}".encode()).hexdigest()
