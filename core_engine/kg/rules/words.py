"""The word lists by which the rules read English transcripts: what is never a name, and what tells a name's kind."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Never a name by itself, however it is written: grammar, greetings and fillers of spoken English, days and months.
STOP = _words("""
    i i'm i'll i've i'd im a an the this that these those he she it we you they my our your his her its their me him us
    them who whom whose which what when where why how there here and but or nor so yet if then than as at by for from in
    into of off on onto out over to up with without within about above across after against along among around before
    behind below beneath beside between beyond despite down during except inside like near since through throughout till
    toward towards under until upon via while because although though whereas unless whether am is are was were be been
    being do does did have has had having can could will would shall should may might must let let's lemme gonna gotta
    kinda not no yes yeah yep yup yey yay nope okay ok oh uh um hmm hm mm mhm mm-hmm uh-huh huh ah aha wow gosh well
    right sure now just also again maybe perhaps actually basically anyway alright thanks thank please sorry hello hi
    hey good great bye goodbye greetings morning afternoon evening all any both each every either neither few many more
    most much other others another some several such same own only very too even still already always never often
    sometimes once twice one two three four five six seven eight nine ten first second third last next it's that's
    there's what's he's she's we're you're they're we've you've they've we'll you'll they'll he'll she'll it'll we'd
    you'd they'd don't doesn't didn't isn't aren't wasn't weren't can't couldn't won't wouldn't shouldn't haven't hasn't
    hadn't here's who's where's how's monday tuesday wednesday thursday friday saturday sunday mondays tuesdays
    wednesdays thursdays fridays saturdays sundays january february march april june july august september october
    november december jan feb mar apr jun jul aug sep sept oct nov dec quarter mr mrs ms dr sir madam ma'am dear prof
    speaker operator ladies gentlemen got get go going come see know think look mean say said guess however therefore
    moreover furthermore finally additionally nevertheless likewise fortunately meanwhile later today tomorrow
    yesterday list non pre post kay oops doh alrighty nothin amen oui nein mister herr frau monsieur madame inaudible crosstalk laughter applause
    unintelligible euro euros
""")

# Of these, the ones that begin or stand within real names ("First World War", "New Four Seasons"): where such a word
# is capitalised in mid-sentence beside another capital, it belongs to the name.
WITHIN = _words("""
    first second third last next one two three four five six seven eight nine ten great good right all other more most
    same own only still now well just both every such off over under after before between inside like get go come see
    know think look mean say dear another kay
""")

# Of these, the ones that stay what they are in capitals; "US" and "IT" don't.
PLAIN_CAPITALS = _words("ok oh no so am")

LINKS = (
    "of|de|del|della|di|da|do|dos|du|des|van|von|den|der|la|le|el|al|las|los|"
    "bin|ibn|y|e|und|et|for|the|zu|af|av|og|ter|ten"
)
LINK_WORDS = frozenset(LINKS.split("|")) | {"&", "+", "-", "\u2013"}

# "X of Y" is one name where X is one of these, or a word that is also seen in lower case; else it is a person of a
# firm ("Carlos Laboy of HSBC"), or an office ("CEO of Danaher").
OF_HEADS = _words("""
    bank university college school department ministry office house council city state board institute academy museum
    church bay gulf isle cape kingdom republic duchy county province district valley association society federation
    league union order bureau court chamber congress king queen prince princess duke earl archbishop bishop battle
    treaty war siege faculty lord lady lords commons states tower
""")

# An office that somebody holds: no name by itself, and "X of Y" with it is two things.
OFFICES = _words("""
    ceo cfo coo cto cmo chair chairman chairwoman chairperson president governor minister director manager head
    secretary vp analyst mayor senator ambassador commissioner officer captain commander treasurer dean founder member
    evp svp editor
""")

# What stands before a person's name and is not part of it.
TITLES = _words("""
    president admiral colonel captain lieutenant sergeant senator governor chairman chancellor minister judge secretary
    councillor counselor congressman congresswoman ceo cfo emperor premier director professor doctor
    hon sen rep gov honourable honorable
""")
# A title only together with the next ("Vice President", and not "Vice News").
ADJUNCTS = _words("vice rear deputy prime executive major")
# A run of these alone is an office: "Chief Financial Officer", "Prime Minister", "King".
JOBS = (
    OFFICES
    | TITLES
    | ADJUNCTS
    | _words("""
    king queen prince princess pope bishop general board government chief senior financial operating marketing
    technology information supply procurement corporate managing assistant associate public relations county
    representative
""")
)
# A speaker called by one of these is named by a label, not by a name.
LABELS = _words("""
    agent audience caller chat client clerk customer designer doctor expert grad guest host industrial interface
    interviewee interviewer iphone lead learner marketing moderator narrator participant patient phd postdoc presenter
    professor project room student support teacher team undergrad unidentified unknown user voice witness zoom
""")
HONORIFICS = _words(
    "mr mrs ms mister herr frau monsieur madame dr prof sir madam professor doctor senator congressman congresswoman hon sen rep honourable honorable"
)

# "World War I": the only words after which a capital I is a number and not the speaker.
NUMBERED = _words("war part phase type class title stage level tier chapter volume")

# "2010 Winter Olympics": a year before a name belongs to it only where the name is something held again and again.
YEARLY = _words("""
    olympics cup championship championships census draft games trophy season election elections convention tournament
    league festival awards grand open tour series act conference race world winter summer
""")

# The last word tells the kind.
ORGANIZATION_LAST = _words("""
    inc corp corporation ltd llc llp plc gmbh ag company group university college institute committee association
    foundation bank council commission agency ministry department partners securities holdings technologies
    laboratories society federation
""")
# "X for Y" is one name only with these.
FOR_HEADS = _words("department ministry office centre center institute foundation council campaign school society bank")
ORGANIZATION_FIRST = _words("bank university ministry department institute council college")
# "Morgan Stanley" is no person, and neither is what somebody gave a name to.
NO_SURNAMES = ORGANIZATION_LAST | _words("""
    airlines airport arena award awards bay beach bridge brothers building business capital castle cathedral center
    centre chapel church city competition cup day days drive electronics endeavor energy falls family fellowship field foods forest foundation games
    garden gardens global hall health highway hill hills hospital hotel house industries international island islands lake law
    library lodge mall media memorial mill mills motors mountain museum network park partners place plan plaza
    point press prize program project property range records report research reservoir ridge river road school schwab show
    sons square stadium stage stanley station store street studio studios system systems team theater theatre tower town
    trail trophy trust valley village way woods
""")
PLACE_LAST = _words("street avenue river island islands county lake mountains bay peninsula province")
PLACES = _words("""
    Africa Alabama Alaska Alberta America Antarctica Argentina Arizona Arkansas Asia Australia Austria Bangladesh
    Belgium Bolivia Brazil Bulgaria California Cambodia Cameroon Canada Chile China Colombia Colorado Connecticut
    Croatia Cuba Denmark Ecuador Egypt Estonia Ethiopia Europe Finland Florida France Germany Ghana Greece Guatemala
    Hawaii Hungary Iceland Idaho Illinois India Indonesia Iowa Iran Iraq Ireland Italy Jamaica Japan Kansas Kazakhstan
    Kentucky Kenya Kuwait Latvia Lebanon Libya Lithuania Louisiana Luxembourg Maine Malaysia Maryland Massachusetts
    Mexico Michigan Minnesota Mississippi Missouri Mongolia Montana Morocco Mozambique Myanmar Nebraska Nepal
    Netherlands Nevada Nicaragua Nigeria Norway Ohio Oklahoma Oman Ontario Oregon Pakistan Panama Paraguay Pennsylvania
    Peru Philippines Poland Portugal Quebec Romania Russia Rwanda Saskatchewan Scotland Senegal Serbia Singapore
    Slovakia Slovenia Somalia Spain Sudan Sweden Switzerland Syria Taiwan Tanzania Tennessee Texas Thailand Tunisia
    Turkey Uganda Ukraine Uruguay Utah Venezuela Vermont Vietnam Wales Wisconsin Wyoming Yemen Zambia Zimbabwe UK USA
    US U.S. U.K. U.S.A. EU
""") | {
    "North America", "South America", "Latin America", "Central America", "New York", "New Jersey", "New Mexico",
    "New Hampshire", "New Zealand", "North Carolina", "South Carolina", "North Dakota", "South Dakota", "Rhode Island",
    "West Virginia", "British Columbia", "Nova Scotia", "New Brunswick", "Great Britain", "United Kingdom",
    "United States", "United States of America", "Northern Ireland", "South Africa", "South Korea", "North Korea",
    "Saudi Arabia", "Costa Rica", "Puerto Rico", "Hong Kong", "Sri Lanka", "Czech Republic", "European Union",
    "Middle East", "Western Europe", "Eastern Europe", "Southeast Asia", "San Francisco", "Los Angeles",
}  # fmt: skip

# By these a text is known as German, whose capitals tell a noun and not a name. English has a few of them as well.
GERMAN = _words("""
    und nicht ich wir das ist der den dem ein eine einen auch auf für mit sich wird sind haben kann aber wenn oder wie
    zu von es sie nur noch schon
""")
ENGLISH = _words("the and of to in is that it you we for this with have are was be not they")
