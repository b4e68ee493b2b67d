/** Readable random names for environments that nobody named. */
const MOODS =
  "amber brave calm clever cosmic eager fuzzy gentle golden happy honest jolly keen lively lucky merry misty modest noble polite proud quiet rapid sunny swift tidy vivid warm wise witty"
    .split(" ");
const ANIMALS =
  "badger bear beaver bison crane deer dolphin eagle falcon ferret finch fox gecko hare heron ibis koala lark lemur lynx marten mole newt otter owl panda puffin quail raven robin seal stork swan tapir toad trout vole walrus wombat wren"
    .split(" ");

/** A name like `quiet-otter` that is not among those taken. */
export function randomName(taken: readonly string[], random: () => number = Math.random): string {
  const pick = (words: string[]) => words[Math.floor(random() * words.length)];
  for (let attempt = 0; attempt < 50; attempt++) {
    const name = `${pick(MOODS)}-${pick(ANIMALS)}`;
    if (!taken.includes(name)) return name;
  }
  return `${pick(MOODS)}-${pick(ANIMALS)}-${Math.floor(random() * 1e6)}`;
}
