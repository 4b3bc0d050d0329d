// The page: what a person does, and what the program in the worker answers.
const $ = id => document.getElementById(id);
const MOST_COLUMNS = 200;

// ---- the program

let worker;
let requests = new Map();
let numbers = 0;
let listener = () => {};

function begin() {
  worker = new Worker('worker.js', { type: 'module' });
  worker.onmessage = ({ data }) => {
    if (data.news) {
      // The program tells of its own end in this way.
      if (data.news.error) failed(data.news.error);
      else listener(data.news);
      return;
    }
    const { done } = requests.get(data.id);
    requests.delete(data.id);
    if (data.answer?.ended) begin();
    done(data.answer);
  };
  worker.onerror = event => {
    event.preventDefault();
    failed(`the program could not be started: ${event.message ?? 'its files are missing'}`);
  };
}

// Asks the program. An answer that is an error is thrown.
function ask(call, more = {}, transfer = []) {
  const id = numbers++;
  return new Promise((done, fail) => {
    requests.set(id, { done: answer => (answer?.error ? fail(new Error(answer.error)) : done(answer)) });
    worker.postMessage({ id, call, ...more }, transfer);
  });
}

function failed(text) {
  $('problem').textContent = text;
  $('problem').hidden = false;
  $('problem').scrollIntoView({ block: 'nearest' });
}

// Does something that may fail: a failure becomes a message in the page.
async function attempt(work) {
  $('problem').hidden = true;
  try {
    return await work();
  } catch (error) {
    failed(error.message);
    return undefined;
  }
}

// ---- parts of the page

function element(name, text = '', kind = '') {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// Pictures are SVG of the program, in which names of the table are escaped.
function showPictures(place, pictures) {
  place.replaceChildren(...pictures.map(({ svg }) => {
    const figure = document.createElement('figure');
    figure.innerHTML = svg;
    return figure;
  }));
}

const plain = value => (Number.isFinite(value) ? Number(value.toPrecision(4)).toString() : 'none');

function showFigures(figures) {
  $('figures').replaceChildren(...Object.entries(figures).flatMap(([name, value]) => [element('dt', name), element('dd', value)]));
}

function list(place, texts) {
  place.replaceChildren(...texts.map(text => element('li', text)));
}

// ---- the table

let table;

async function takeTable(name, bytes) {
  $('columns-told').textContent = `Reading ${name} …`;
  $('columns').hidden = false;
  table = undefined;
  $('train').disabled = true;
  const answer = await attempt(() => ask('table', { name, bytes }, [bytes.buffer]));
  if (!answer) {
    $('columns').hidden = true;
    return;
  }
  table = answer;
  showColumns();
  $('train').disabled = false;
}

function showColumns() {
  const { columns } = table;
  const rows = columns[0]?.cells ?? 0;
  $('columns-told').textContent = `${table.table}: ${rows} rows, ${columns.length} columns`
    + (columns.length > MOST_COLUMNS ? `, of which the first ${MOST_COLUMNS} are shown` : '');
  const target = $('settings').target;
  target.replaceChildren(...columns.map(({ name }) => {
    const option = element('option', name);
    option.value = name;
    return option;
  }));
  target.value = columns.at(-1).name;
  target.disabled = false;
  const lines = columns.slice(0, MOST_COLUMNS).map(it => {
    const line = document.createElement('tr');
    const name = element('th', it.name);
    name.scope = 'row';
    const use = document.createElement('td');
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.checked = it.kind !== 'none';
    box.ariaLabel = `use ${it.name}`;
    box.dataset.column = it.name;
    use.append(box);
    const range = it.range ? ` ${plain(it.range[0])} to ${plain(it.range[1])}` : '';
    line.append(
      use,
      name,
      element('td', it.kind + range),
      element('td', it.gaps),
      element('td', `${it.distinct}${it.or_more ? ' or more' : ''}`),
      element('td', it.examples.slice(0, 4).join(', '), 'examples'),
    );
    return line;
  });
  $('columns').querySelector('tbody').replaceChildren(...lines);
}

async function takeFile(file, take) {
  const bytes = await attempt(async () => new Uint8Array(await file.arrayBuffer()));
  if (bytes) await take(file.name, bytes);
}

function listenTo(input, take) {
  input.addEventListener('change', async () => {
    const [file] = input.files;
    // The same file may be chosen again after it was changed.
    if (file) await takeFile(file, take);
    input.value = '';
  });
}

listenTo($('table'), takeTable);
for (const name of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(name, event => {
    event.preventDefault();
    $('drop').classList.toggle('over', name === 'dragover');
    const [file] = name === 'drop' ? event.dataTransfer.files : [];
    if (file) takeFile(file, file.name.endsWith('.safetensors') ? takeModel : takeTable);
  });
}
for (const button of document.querySelectorAll('[data-example]')) {
  button.addEventListener('click', () => attempt(async () => {
    const { example } = button.dataset;
    const found = await fetch(`examples/${example}`);
    if (!found.ok) throw new Error(`examples/${example} is not there: ${found.status}`);
    await takeTable(example, new Uint8Array(await found.arrayBuffer()));
  }));
}

// ---- a run

function number(form, name, usual) {
  const text = form[name].value.trim();
  if (text === '' && usual !== undefined) return usual;
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) {
    const label = form[name].closest('label').firstChild.textContent.trim();
    throw new Error(`${label}: ‘${text}’ is no number`);
  }
  return value;
}

function settings() {
  const form = $('settings');
  const target = form.target.value;
  const left = [...$('columns').querySelectorAll('input:not(:checked)')].map(it => it.dataset.column);
  return {
    target,
    task: form.task.value,
    ignore: left.filter(name => name !== target),
    hidden: form.hidden.value,
    activation: form.activation.value,
    optimizer: form.optimizer.value.trim(),
    lr: number(form, 'lr'),
    epochs: number(form, 'epochs'),
    batch_size: number(form, 'batch_size', null),
    valid: number(form, 'valid'),
    stop_patience: number(form, 'stop_patience', null),
    seed: number(form, 'seed'),
    device: form.device.value,
  };
}

function running(yes) {
  for (const id of ['train', 'verify']) $(id).disabled = yes || (id === 'train' && !table);
  $('go-on').hidden = !mayGoOn;
  $('go-on').disabled = yes;
  document.querySelector('#play .main').disabled = yes;
  for (const button of document.querySelectorAll('[data-example], [data-file]')) button.disabled = yes;
}

function follow(run) {
  const warnings = [];
  return news => {
    switch (news.news) {
      case 'verified':
        run['Kernels'] = news.failed === 0 ? `${news.passed} checks right` : `${news.failed} of ${news.passed + news.failed} checks wrong, these kernels are not used`;
        break;
      case 'started':
        run['Device'] = news.device;
        run['Rows'] = `${news.train_rows} to train, ${news.valid_rows} held out`;
        run['Target'] = news.target;
        run['Network'] = `${news.model}, ${news.parameters} parameters`;
        $('progress').max = news.epochs;
        $('status').textContent = 'The first epoch is under way.';
        break;
      case 'warning':
        warnings.push(news.text);
        list($('warnings'), warnings);
        break;
      case 'progress':
        $('status').textContent = `Epoch ${news.epoch}, step ${news.step} of ${news.steps}`;
        break;
      case 'epoch':
        $('progress').value = news.epoch;
        $('status').textContent = `Epoch ${news.epoch} of ${$('progress').max} has ended.`;
        run['Training loss'] = plain(news.train_loss);
        for (const [name, value] of news.valid) run[`Held out: ${name}`] = plain(value);
        if (news.pictures.length > 0) showPictures($('curves'), news.pictures);
        break;
      default:
        if (news.checked) $('status').textContent = `Checking the adapter: ${news.checked} comparisons`;
    }
    showFigures(run);
  };
}

// True if the last run can go on from where it ended.
let mayGoOn = false;

async function train(request) {
  $('run').hidden = false;
  $('run').scrollIntoView({ block: 'nearest' });
  $('result').hidden = true;
  $('status').textContent = 'The program reads the table and prepares the run.';
  $('progress').value = 0;
  list($('warnings'), []);
  const run = {};
  showFigures(run);
  listener = follow(run);
  running(true);
  $('stop').disabled = false;
  try {
    const answer = await ask('run', { request });
    mayGoOn = answer.may_go_on;
    showResult(answer);
  } catch (error) {
    $('status').textContent = 'The run has failed.';
    throw error;
  } finally {
    $('stop').disabled = true;
    running(false);
  }
}

$('settings').addEventListener('submit', event => {
  event.preventDefault();
  if (!table || $('train').disabled) return;
  attempt(async () => {
    const request = { do: 'train', ...settings() };
    mayGoOn = false;
    showPictures($('curves'), []);
    await train(request);
  });
});
$('go-on').addEventListener('click', () => attempt(async () => {
  const epochs = number($('settings'), 'epochs');
  if (epochs <= trainedEpochs) {
    throw new Error(`Epochs: ${epochs}, but ${trainedEpochs} have been trained; write more to go on`);
  }
  await train({ do: 'go_on', epochs });
}));
const wishToStop = () => worker.postMessage({ call: 'stop' });
$('stop').addEventListener('click', () => {
  $('stop').disabled = true;
  $('status').textContent = 'Stopping …';
  wishToStop();
});

let trainedEpochs = 0;

function showResult(answer) {
  trainedEpochs = answer.epochs;
  const more = answer.may_go_on ? ' “Go on” trains on from here, up to the number of epochs above.' : '';
  $('status').textContent = (answer.stopped ? 'The run was stopped; the best network so far is kept.' : 'The run has ended.') + more;
  $('told').textContent = answer.stopped ? `Stopped after ${answer.epochs} ${answer.epochs === 1 ? 'epoch' : 'epochs'}; the network is that of epoch ${answer.outcome.epoch}.` : answer.told;
  list($('warnings'), answer.warnings);
  if (answer.curves.length > 0) showPictures($('curves'), answer.curves);
  showPictures($('pictures'), answer.pictures);
  $('result').hidden = false;
  window.lastResult = answer;
}

// ---- files

const TYPES = { csv: 'text/csv', html: 'text/html', onnx: 'application/octet-stream', safetensors: 'application/octet-stream' };

function download(name, content) {
  const url = URL.createObjectURL(new Blob([content], { type: TYPES[name.split('.').at(-1)] }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

for (const button of document.querySelectorAll('[data-file]')) {
  button.addEventListener('click', () => attempt(async () => {
    button.disabled = true;
    try {
      const name = button.dataset.file;
      download(name, (await ask('file', { name })).bytes);
    } finally {
      button.disabled = false;
    }
  }));
}
listenTo($('predict'), (name, bytes) => attempt(async () => {
  const { text } = await ask('predict', { name, bytes }, [bytes.buffer]);
  download('predicted.csv', text);
}));

async function takeModel(name, bytes) {
  await attempt(async () => {
    const answer = await ask('model', { name, bytes }, [bytes.buffer]);
    const networks = answer.networks > 1 ? `, the mean of ${answer.networks} networks` : '';
    $('model-told').textContent = `${name} predicts ${answer.target} from ${answer.columns.length} columns${networks}.`;
    $('told').textContent = `${name} was opened.`;
    mayGoOn = false;
    $('go-on').hidden = true;
    showPictures($('pictures'), []);
    $('result').hidden = false;
  });
}
listenTo($('model'), takeModel);

// ---- the playground

const drawn = [];

function drawPoints() {
  const canvas = $('canvas');
  const pen = canvas.getContext('2d');
  pen.clearRect(0, 0, canvas.width, canvas.height);
  for (const [x, y, kind] of drawn) {
    pen.fillStyle = kind === 0 ? '#0072b2' : '#d55e00';
    pen.beginPath();
    pen.arc((x + 1) / 2 * canvas.width, (1 - y) / 2 * canvas.height, 4, 0, 7);
    pen.fill();
  }
}

$('play').data.addEventListener('change', () => { $('pad').hidden = $('play').data.value !== 'drawn'; });
$('canvas').addEventListener('click', event => {
  const box = $('canvas').getBoundingClientRect();
  const kind = Number(document.querySelector('input[name=class]:checked').value);
  drawn.push([(event.clientX - box.left) / box.width * 2 - 1, 1 - (event.clientY - box.top) / box.height * 2, kind]);
  drawPoints();
});
$('clear').addEventListener('click', () => {
  drawn.length = 0;
  drawPoints();
});

$('play').addEventListener('submit', event => {
  event.preventDefault();
  const form = $('play');
  attempt(async () => {
    const request = {
      do: 'play',
      data: form.data.value,
      points: form.data.value === 'drawn' ? drawn : [],
      noise: number(form, 'noise'),
      hidden: form.hidden.value.split(',').filter(Boolean).map(Number),
      activation: form.activation.value,
      lr: number(form, 'lr'),
      epochs: number(form, 'epochs'),
      seed: 0,
    };
    const show = it => {
      $('play-status').textContent = `Epoch ${it.epoch ?? it.epochs}: loss ${plain(it.loss)}, right ${plain(100 * it.accuracy)} %`;
      showPictures($('plane'), [it.picture]);
    };
    listener = news => { if (news.news === 'plane') show(news); };
    running(true);
    $('play-stop').disabled = false;
    try {
      show(await ask('run', { request }));
    } finally {
      $('play-stop').disabled = true;
      running(false);
    }
  });
});
$('play-stop').addEventListener('click', wishToStop);

// ---- the browser

$('verify').addEventListener('click', () => attempt(async () => {
  listener = news => { if (news.checked) $('verified').textContent = `${news.checked} comparisons, ${news.failed} wrong`; };
  $('verified').textContent = 'Opening the adapter …';
  list($('failures'), []);
  running(true);
  try {
    const answer = await ask('run', { request: { do: 'verify' } });
    $('verified').textContent = `${answer.device}: ${answer.passed} comparisons right, ${answer.failed} wrong.`;
    list($('failures'), answer.failures);
    window.lastCheck = answer;
  } finally {
    running(false);
  }
}));

begin();
attempt(async () => {
  const hello = await ask('hello');
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(hello.style);
  document.adoptedStyleSheets = [sheet];
  if (!hello.canAdapt || !hello.canSuspend) {
    const lacks = hello.canAdapt ? 'does not suspend WebAssembly (JSPI)' : 'has no WebGPU';
    $('browser').textContent = `This browser ${lacks}, so the CPU trains.` + (hello.canSuspend ? '' : ' A run cannot be stopped without losing it.');
    $('verify').disabled = true;
    for (const option of $('settings').device.options) option.disabled = !['auto', 'cpu'].includes(option.value);
    $('settings').device.value = 'cpu';
  } else {
    const adapters = await ask('run', { request: { do: 'adapters' } });
    $('browser').textContent = adapters.length === 0 ? 'This browser gives no adapter, so the CPU trains.'
      : adapters.map(it => `Adapter: ${it.name} (${it.kind})${it.auto ? '' : ', slower than the CPU, which trains unless you choose it'}.`).join(' ');
    $('adapter').textContent = adapters.map(it => [it.name, ...it.features, ...it.limits.map(pair => pair.join(': '))].join('\n')).join('\n\n');
  }
  document.body.dataset.ready = 'yes';
});
