/** Reads what our configuration files use of libconfig: groups, lists, arrays,
 * strings, numbers, booleans, comments. `webwired --check-config` is the judge of
 * a file; this is for tests that need its values. */
const TOKEN =
  /\s+|\/\/[^\n]*|#[^\n]*|\/\*[^]*?\*\/|("(?:[^"\\]|\\.)*")|([-+]?\d+(?:\.\d+)?)L?|([A-Za-z*][-\w*]*)|([={}()[\];:,])/gy;

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new Error(`libconfig: line ${text.slice(0, at).split("\n").length}`);
    const [, string, number, name, sign] = match;
    if (string) found.push({ value: JSON.parse(string) });
    else if (number) found.push({ value: Number(number) });
    else if (name) found.push({ name });
    else if (sign) found.push({ sign });
  }
  return found;
}

export function parseConfig(text) {
  const rest = tokens(text);
  const peek = () => rest[0]?.sign;
  const take = (...signs) => {
    const token = rest.shift();
    if (!signs.includes(token?.sign)) {
      throw new Error(`libconfig: ${JSON.stringify(token)} where ${signs.join(" or ")} should be`);
    }
  };
  const many = (end) => {
    const values = [];
    while (peek() !== end) {
      values.push(value());
      if (peek() !== end) take(",");
    }
    take(end);
    return values;
  };
  const value = () => {
    const token = rest.shift();
    if (token?.sign === "{") return group("}");
    if (token?.sign === "[") return many("]");
    if (token?.sign === "(") return many(")");
    if (/^(true|false)$/i.test(token?.name ?? "")) return token.name.toLowerCase() === "true";
    if (token && "value" in token) return token.value;
    throw new Error(`libconfig: ${JSON.stringify(token)} is no value`);
  };
  const group = (end) => {
    const settings = {};
    while (rest.length && (end === undefined || peek() !== end)) {
      const { name } = rest.shift();
      if (!name || name in settings) throw new Error(`libconfig: ${name} is no name or is doubled`);
      take("=", ":");
      settings[name] = value();
      if (peek() === ";" || peek() === ",") rest.shift();
    }
    if (end) take(end);
    return settings;
  };
  return group(undefined);
}
