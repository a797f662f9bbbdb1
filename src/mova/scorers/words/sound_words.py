"""Words of prompts that name what sounds, and the tags of AudioSet that stand for each. Made by hand; English."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_NOT: Final = r"(?:no|not|without|never|silent|muted|nor)"


@dataclass(frozen=True)
class NamedSound:
    """Something that sounds.

    Attributes:
        name: of it.
        words: regular expression of its words in prompts; plurals and forms of verbs are added.
        tags: of AudioSet, in small letters, any of which says that it is heard.
    """

    name: str
    words: str
    tags: tuple[str, ...]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What finds it in a prompt, with a word of denial before it where there is one."""
        return re.compile(rf"(?P<denied>\b{_NOT}\s+(?:\w+\s+)?)?\b(?:{self.words})(?:s|es|ed|ing)?\b", re.IGNORECASE)


def _made(rows: str) -> tuple[NamedSound, ...]:
    found = []
    for row in rows.strip().splitlines():
        name, words, tags = (part.strip() for part in row.split(" : "))
        found.append(NamedSound(name, words, tuple(tag.strip() for tag in tags.split("; "))))
    return tuple(found)


SOUNDS: Final = _made(
    """
speech : speech|say|speak|talk|conversation|dialogue|narrat\\w*|voice|monologue|lecture : speech; child speech, kid speaking; conversation; narration, monologue; speech synthesizer; whispering; shout
shout : shout|yell|scream : shout; yell; screaming; bellow; children shouting; whoop
laughter : laugh|laughter|giggl\\w*|chuckl\\w* : laughter; baby laughter; giggle; snicker; belly laugh; chuckle, chortle
crying : cries|crying|sob|sobbing|weep|wail : crying, sobbing; baby cry, infant cry; whimper; wail, moan
singing : sing|singer|choir|chant|song|humming : singing; choir; chant; child singing; rapping; humming; vocal music; a capella; song
whistling : whistl\\w* : whistling; whistle; steam whistle; train whistle
cough : cough : cough; throat clearing
sneeze : sneez\\w* : sneeze
snoring : snor\\w* : snoring
breathing : breath\\w*|pant|gasp : breathing; pant; gasp; wheeze
footsteps : footstep|walk|run|running|jog|jogging|march : walk, footsteps; run; shuffle
applause : applau\\w*|clap|clapping : applause; clapping
crowd : crowd|audience|cheer|spectator : crowd; cheering; applause; hubbub, speech noise, speech babble; chatter
dog : dog|puppy|puppies|bark|hound : dog; bark; yip; howl; bow-wow; growling; whimper (dog); canidae, dogs, wolves
wolf : wolf|wolves|howl : howl; canidae, dogs, wolves
cat : cat|kitten|meow|purr|purring : cat; purr; meow; caterwaul
horse : horse|hoof|hooves|gallop|neigh : horse; clip-clop; neigh, whinny
cow : cow|cattle|moo : cattle, bovinae; moo
pig : pig|piglet|oink : pig; oink
sheep : sheep|lamb|goat|bleat : sheep; goat; bleat
chicken : chicken|rooster|hen|cluck : fowl; chicken, rooster; cluck; crowing, cock-a-doodle-doo
duck : duck|quack|goose|geese : duck; quack; goose; honk
lion : lion|tiger|roar : roaring cats (lions, tigers); roar
bird : bird|chirp|birdsong|songbird|sparrow|parrot|seagull|gull|tweet : bird; bird vocalization, bird call, bird song; chirp, tweet; squawk; caw; crow
owl : owl|hoot : owl; hoot
insect : insect|cricket|cicada|mosquito|bee|wasp|buzz : insect; cricket; mosquito; fly, housefly; buzz; bee, wasp, etc.
frog : frog|toad|croak : frog; croak
music : music|melod\\w*|tune|band|orchestra|symphony|concert|soundtrack|instrument : music; musical instrument; orchestra; song; background music; theme music; soundtrack music
guitar : guitar|guitarist|strum|strumming : guitar; electric guitar; bass guitar; acoustic guitar; steel guitar, slide guitar; strum; plucked string instrument
piano : piano|pianist : piano; electric piano; keyboard (musical)
organ : organ : organ; electronic organ; hammond organ
violin : violin|violinist|fiddle|cello|cellist|viola : violin, fiddle; cello; bowed string instrument; string section; double bass
drum : drum|drummer|drumming|percussion : drum; drum kit; snare drum; bass drum; drum roll; percussion; timpani; cymbal; tabla; hi-hat
trumpet : trumpet|trumpeter|trombone|brass band : trumpet; trombone; brass instrument; french horn
flute : flute|flutist|recorder : flute; wind instrument, woodwind instrument
saxophone : saxophone|saxophonist|sax : saxophone
harp : harp|harpist : harp
accordion : accordion : accordion
bell : bell|chime|gong : bell; church bell; jingle bell; bicycle bell; chime; wind chime; gong; tubular bells; doorbell; cowbell; ding; ding-dong
wind : wind|breeze|gust|gale : wind; wind noise (microphone); rustling leaves
leaves : leaf|leaves|rustl\\w* : rustling leaves; rustle
thunder : thunder|thunderstorm|lightning|storm : thunder; thunderstorm
rain : rain|raindrop|rainfall|rainstorm|downpour|drizzl\\w* : rain; raindrop; rain on surface; thunderstorm
water : water|stream|river|creek|brook|waterfall|fountain|splash|pour|drip|dripping : water; stream; waterfall; splash, splatter; pour; drip; trickle, dribble; gurgling; water tap, faucet; liquid; gush; slosh; rain
ocean : ocean|sea|wave|surf|shore|beach : ocean; waves, surf; water
fire : fire|flame|bonfire|campfire|fireplace|crackl\\w* : fire; crackle
car : car|automobile|taxi|vehicle|traffic|suv|sedan : car; vehicle; motor vehicle (road); car passing by; race car, auto racing; traffic noise, roadway noise; vehicle horn, car horn, honking; engine; accelerating, revving, vroom; idling; skidding; tire squeal
horn : horn|honk : vehicle horn, car horn, honking; air horn, truck horn; honk; toot; train horn; french horn; foghorn
truck : truck|lorry|lorries : truck; air horn, truck horn; vehicle; engine
bus : bus|buses : bus; vehicle; motor vehicle (road)
motorcycle : motorcycle|motorbike|scooter : motorcycle; engine; accelerating, revving, vroom; vehicle
train : train|locomotive|railway|subway|tram : train; rail transport; train whistle; train horn; railroad car, train wagon; train wheels squealing; subway, metro, underground
aircraft : airplane|plane|aircraft|jet|airliner : aircraft; aircraft engine; jet engine; propeller, airscrew; fixed-wing aircraft, airplane
helicopter : helicopter : helicopter; aircraft; propeller, airscrew
boat : boat|motorboat|speedboat|ship|ferry : boat, water vehicle; motorboat, speedboat; ship; sailboat, sailing ship; rowboat, canoe, kayak
engine : engine|motor|rev|revving : engine; light engine (high frequency); medium engine (mid frequency); heavy engine (low frequency); engine starting; idling; accelerating, revving, vroom; lawn mower; chainsaw; vehicle
siren : siren|ambulance|police car|fire truck|fire engine : siren; police car (siren); ambulance (siren); fire engine, fire truck (siren); emergency vehicle; civil defense siren
bicycle : bicycl\\w*|bike|cyclist : bicycle; bicycle bell
skateboard : skateboard\\w*|skater : skateboard
door : door|knock : door; sliding door; slam; knock; squeak; creak; doorbell; cupboard open or close
typing : typ(?:e|es|ing) on|typing|keyboard|typewriter : typing; typewriter; computer keyboard; clicking
telephone : phone|telephone|ringtone|smartphone : telephone; telephone bell ringing; ringtone; telephone dialing, dtmf; dial tone; busy signal
alarm : alarm : alarm; alarm clock; fire alarm; smoke detector, smoke alarm; car alarm; siren; buzzer; beep, bleep
clock : clock|tick|ticking : clock; tick; tick-tock; alarm clock
beep : beep : beep, bleep; reversing beeps
gunshot : gun|gunshot|gunfire|rifle|pistol|shooting : gunshot, gunfire; machine gun; fusillade; artillery fire; cap gun
explosion : explo\\w*|blast|boom|bomb : explosion; boom; burst, pop; eruption; artillery fire
fireworks : firework|firecracker : fireworks; firecracker; explosion
glass : glass|shatter : glass; shatter; chink, clink; breaking
crash : crash|smash : smash, crash; breaking; bang
hammer : hammer|anvil|blacksmith : hammer; bang; clang; tools
saw : saw|sawing|chainsaw|sawmill : sawing; chainsaw; power tool
drill : drill : drill; power tool; jackhammer; dental drill, dentist's drill
vacuum : vacuum : vacuum cleaner
blender : blender|mixer : blender
dishes : dish|plate|cutlery|fork|spoon : dishes, pots, and pans; cutlery, silverware; chink, clink
chopping : chop|chopping : chopping (food); chop
frying : fry|frying|sizzl\\w*|grill : frying (food); sizzle
camera : camera shutter|photographer : camera; single-lens reflex camera; clicking
sewing : sewing : sewing machine
basketball : basketball|dribbl\\w* : basketball bounce; bouncing
"""  # noqa: E501
)
"""In no order."""


def named_sounds(text: str) -> tuple[NamedSound, ...]:
    """Return what a text names that sounds; what it denies ("no music") is left out.

    Args:
        text: of a prompt, without its quotations.
    """
    return tuple(sound for sound in SOUNDS if any(match["denied"] is None for match in sound.pattern.finditer(text)))
