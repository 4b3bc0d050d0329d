// The program in a thread of its own, so that the page never waits for it.
import start, {
  ask, file, give_model, give_table, picture_style, predict, take_answer,
} from './wgrad.js';
import { canSuspend } from './waiting.js';

let stop = false;
self.stopIsWanted = () => stop;
self.tellPage = text => self.postMessage({ news: JSON.parse(text) });

const program = start({ module_or_path: new URL('wgrad_bg.wasm', import.meta.url) }).then(exports => ({
  respond: canSuspend ? WebAssembly.promising(exports.respond) : exports.respond,
}));

async function answered(request) {
  ask(JSON.stringify(request));
  await (await program).respond();
  return JSON.parse(take_answer());
}

async function answerTo({ call, request, name, bytes }) {
  await program;
  switch (call) {
    case 'hello': return { style: picture_style(), canSuspend, canAdapt: Boolean(navigator.gpu) };
    case 'table': {
      const taken = JSON.parse(give_table(name, bytes));
      return taken?.error ? taken : answered({ do: 'columns' });
    }
    case 'model': return JSON.parse(give_model(name, bytes));
    case 'file': return { bytes: file(name) };
    case 'predict': return { text: predict(name, bytes) };
    default: return answered(request);
  }
}

// One request at a time; only the wish to stop is heard at once.
let queue = Promise.resolve();
self.onmessage = ({ data }) => {
  if (data.call === 'stop') {
    stop = true;
    return;
  }
  queue = queue.then(async () => {
    stop = false;
    let answer;
    try {
      answer = await answerTo(data);
    } catch (error) {
      answer = { error: String(error?.message ?? error), ended: error instanceof WebAssembly.RuntimeError };
    }
    self.postMessage({ id: data.id, answer });
  });
};
