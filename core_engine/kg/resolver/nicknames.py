"""Which short or familiar form may stand for which given name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

# A line: the name, then its forms. A form in several lines may stand for each of these names.
_TABLE: Final = """
aaron: ron ronnie
abigail: abby abbie gail
adelaide: addie adele
albert: al bert bertie
alexander: alex al sandy sasha xander alec lex
alexandra: alex sandra sandy sasha lexi alexa
alfred: al alf fred freddie
alice: ali
alison: ali
amanda: mandy
andrea: andi
andreas: andi andy
andrew: andy drew
anne: annie nan anna
ann: annie nan anna
anthony: tony ant
antonia: toni
antonio: tony toni
archibald: archie
arthur: art artie
augustus: gus
barbara: barb babs barbie
bartholomew: bart
beatrice: bea trixie
beatriz: bea
benjamin: ben benny benji
bernadette: bernie detta
bernard: bernie
bertram: bert
bradley: brad
caroline: carrie caro
cassandra: cass cassie
catherine: cathy cath cat kate katie cate
charles: charlie chuck chas
charlotte: charlie lottie
christian: chris
christina: chris chrissy tina
christine: chris chrissy tina
christopher: chris kit topher
clifford: cliff
constance: connie
cornelius: neil corny
cynthia: cindy
daniel: dan danny
daniela: dani
danielle: dani
david: dave davey
deborah: deb debbie
dennis: denny
diana: di
dmitri: dima mitya
dominic: dom nick
donald: don donnie
dorothy: dot dottie dolly
douglas: doug
edgar: ed
edmund: ed eddie ned
edward: ed eddie ted teddy ned
edwin: ed eddie
eleanor: ellie nell nora
elizabeth: liz lizzie beth betty betsy eliza libby lisa lizzy
emily: em emmy
ernest: ernie
eugene: gene
evelyn: evie
ezekiel: zeke
felicity: fliss
ferdinand: ferdi
florence: flo florrie
frances: fran frankie
francesca: fran
francesco: franco
francis: frank fran
francisco: paco pancho
franklin: frank
frederick: fred freddie freddy rick
friedrich: fritz
gabriel: gabe
gabriela: gabi gabby
gabrielle: gabi gabby
geoffrey: geoff jeff
gerald: gerry jerry
gerard: gerry
gilbert: gil
giovanni: gianni gio
giuseppe: beppe peppe
gregory: greg
guillermo: memo
gwendolyn: gwen
hannah: hanna
harold: harry hal
harriet: hattie
helen: nell
henrietta: etta hettie
henry: harry hank hal
herbert: herb bert
horatio: horace
hubert: bert
ignacio: nacho
immanuel: manny
isaac: ike
isabella: bella izzy
isabel: izzy bel
jacob: jake
jacqueline: jackie
james: jim jimmy jamie
jane: janie
janet: jan
jeffrey: jeff
jennifer: jen jenny jenn
jeremiah: jerry
jeremy: jerry
jessica: jess jessie
joan: joanie
joanna: jo
joanne: jo
johanna: jo hanna
johannes: hans jo
john: johnny jack jon
jonathan: jon jonny nathan
jose: pepe
joseph: joe joey
josephine: jo josie
joshua: josh
judith: judy
julia: jules
julian: jules
katherine: kathy kate katie kath kat kit kitty
kathleen: kathy kath kate
kathryn: kathy kate katie
kenneth: ken kenny
kimberly: kim
konstantin: kostya
lawrence: larry laurie
laurence: larry laurie
leonard: len lenny leo
leonardo: leo
leopold: leo
lillian: lily lil
louis: lou louie
louise: lou
lucas: luke
lucille: lucy
ludwig: lutz
magdalena: magda lena
malcolm: mal
marcus: marc mark
margaret: maggie meg peggy peg marge margie greta rita
marguerite: margot
maria: mia mitzi
marianne: mari
marion: mari
martha: marty
martin: marty
matilda: tilda tilly
matthew: matt
matthias: matt
maximilian: max
maxwell: max
melanie: mel
melissa: mel lissa
mercedes: mercy
michael: mike mick mickey micky mikey misha
mikhail: misha
mildred: millie
miriam: mimi
mohammed: mo
monica: moni
nadezhda: nadia
natalia: nat natasha
natalie: nat
nathan: nat nate
nathaniel: nat nate nathan
nicholas: nick nicky nico
nicole: nicky nic
nikolai: kolya nik
norman: norm
olivia: liv livvy
oliver: ollie
oswald: oz
pamela: pam
patricia: pat patty trish tricia
patrick: pat paddy
paul: paulie
penelope: penny
peter: pete
petronella: nell
philip: phil
phillip: phil
rachel: rach
randolph: randy
raymond: ray
rebecca: becky becca bec
reginald: reg reggie
richard: rick dick rich richie ricky
robert: rob bob bobby robbie bert
roberta: bobbie
roderick: rod
rodney: rod
roland: rolly
ronald: ron ronnie
rosemary: rose rosie
rudolf: rudi
rudolph: rudy
russell: russ
samantha: sam sammy
samuel: sam sammy
sandra: sandy
sarah: sally sadie
sebastian: seb bastian
sergei: seryozha
sharon: shaz
sidney: sid
simeon: sim
solomon: sol
sophia: sophie
stanley: stan
stella: stel
stephanie: steph
stephen: steve stevie
steven: steve stevie
stuart: stu
susan: sue susie suzie
susanna: sue susie
svetlana: sveta lana
sylvester: sly
sylvia: syl
tatiana: tanya
terence: terry
teresa: terry tess tessa
theodora: dora thea
theodore: ted teddy theo
theresa: terry tess tessa
thomas: tom tommy
timothy: tim timmy
tobias: toby
tomasz: tomek
ulrich: uli
valentina: val
valerie: val
veronica: ronnie vera
victor: vic
victoria: vicky vic tori
vincent: vince vinnie
vincenzo: enzo
virginia: ginny
vivian: viv
vladimir: vova
wallace: wally
walter: walt wally
wilfred: wilf fred
wilhelm: willi willy
william: bill will billy willy liam
winifred: winnie
winston: win
wolfgang: wolf
xavier: xavi
yevgeny: zhenya
zachary: zach zack
"""


def _read() -> Mapping[str, frozenset[str]]:
    names: dict[str, set[str]] = defaultdict(set)
    for line in _TABLE.strip().splitlines():
        name, _, forms = line.partition(": ")
        names[name].add(name)
        for form in forms.split():
            names[form].add(name)
    return {form: frozenset(of) for form, of in names.items()}


_NAMES: Final = _read()


@lru_cache(maxsize=8_192)
def names_of(given: str) -> frozenset[str]:
    """The names that a given name may stand for, itself included."""
    return _NAMES.get(given, frozenset()) | {given}


def related(one: str, other: str) -> bool:
    """Whether one may be short for the other, or both for the same: "mike" and "michael", not "dan" and "don"."""
    return one == other or other in names_of(one) or one in names_of(other)
