// Waiting for the adapter. The program calls `suspend` where it needs an answer of the browser, and `turn` where it only lets the
// browser go on: both suspend the WebAssembly, where the browser can do that (JSPI), until other work of the browser was done.

// Promises of the adapter that are not settled yet.
const pending = new Set();

function follow(prototype, name) {
  const call = prototype[name];
  prototype[name] = function (...given) {
    const promise = call.apply(this, given);
    pending.add(promise);
    const settled = () => pending.delete(promise);
    promise.then(settled, settled);
    return promise;
  };
}

if (globalThis.GPUBuffer) {
  follow(GPU.prototype, 'requestAdapter');
  follow(GPUAdapter.prototype, 'requestDevice');
  follow(GPUBuffer.prototype, 'mapAsync');
  follow(GPUQueue.prototype, 'onSubmittedWorkDone');
  follow(GPUDevice.prototype, 'popErrorScope');
}

// A message to oneself comes after all that waits already, and sooner than a timer.
const channel = new MessageChannel();
let waiting = [];
channel.port1.onmessage = () => {
  const now = waiting;
  waiting = [];
  now.forEach(go => go());
};
const nextTurn = () => new Promise(go => {
  waiting.push(go);
  channel.port2.postMessage(0);
});

async function untilSettled() {
  // One that fails is settled, too.
  if (pending.size > 0) await Promise.race(pending).catch(() => {});
  await nextTurn();
}

export const canSuspend = typeof WebAssembly.Suspending === 'function';
// Without JSPI the CPU trains, which waits for nothing.
export const suspend = canSuspend ? new WebAssembly.Suspending(untilSettled) : () => {
  throw new Error('this browser cannot suspend WebAssembly (JSPI), which training on a GPU needs; choose the CPU');
};
export const turn = canSuspend ? new WebAssembly.Suspending(nextTurn) : () => {};
