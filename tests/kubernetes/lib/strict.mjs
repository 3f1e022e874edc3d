/** As strict as an API server with --validate=strict, without one: the compiled
 * schemas of `kubernetes-models` judge types, enums, quantities and what is
 * required; TypeScript, with the types of the same package, finds every field
 * that does not exist. */
import { existsSync } from "node:fs";
import { join, load, modules, nameOf } from "./tools.mjs";

const OPERATOR = "monitoring.coreos.com";
const FOLDER = join(modules, "node_modules");

function moduleOf({ apiVersion, kind }) {
  const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const name = group === OPERATOR ? "@kubernetes-models/prometheus-operator" : "kubernetes-models";
  return [name, group, version, kind].filter(Boolean).join("/");
}

// kustomize folds long base64, which Go reads and the schema does not know.
function unfolded(object) {
  if (object.kind !== "Secret" || !object.data) return object;
  const data = Object.entries(object.data).map(([key, text]) => [key, text.replaceAll("\n", "")]);
  return { ...object, data: Object.fromEntries(data) };
}

async function schemaProblems(object) {
  const module = moduleOf(object);
  if (!existsSync(join(FOLDER, `${module}.js`))) {
    return [`no such kind: ${object.apiVersion} ${object.kind}`];
  }
  const { [object.kind]: Model } = await load(`${module}.js`);
  try {
    new Model(unfolded(object)).validate();
    return [];
  } catch (error) {
    return [`schema: ${error.message}`];
  }
}

// One line of source an object, so that a line's number tells the object.
function sourceOf(objects) {
  return objects
    .map((object, i) => {
      const type = `import("${moduleOf(object)}").I${object.kind}`;
      return `export const c${i}: ${type} = ${JSON.stringify(object)};\n`;
    })
    .join("");
}

function typeProblems(ts, objects) {
  const file = join(modules, "manifests.mts");
  const source = sourceOf(objects);
  const options = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2022.d.ts"],
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (name, ...rest) =>
    name === file
      ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2022)
      : getSourceFile.call(host, name, ...rest);
  host.fileExists = (name) => name === file || fileExists.call(host, name);
  host.readFile = (name) => (name === file ? source : readFile.call(host, name));
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map((found) => ({
    index: found.file ? found.file.getLineAndCharacterOfPosition(found.start).line : 0,
    text: ts.flattenDiagnosticMessageText(found.messageText, " "),
  }));
}

/** For each object a list of what an API server would refuse. */
export async function strictProblems(objects) {
  const problems = [];
  for (const object of objects) problems.push(await schemaProblems(object));
  const known = objects.filter((object) => existsSync(join(FOLDER, `${moduleOf(object)}.js`)));
  const ts = await load("typescript/lib/typescript.js");
  for (const { index, text } of typeProblems(ts, known)) {
    problems[objects.indexOf(known[index])].push(`types: ${text.slice(0, 400)}`);
  }
  return problems.map((list, i) => list.map((text) => `${nameOf(objects[i])}: ${text}`));
}
