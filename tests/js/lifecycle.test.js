import assert from 'node:assert/strict';
import test from 'node:test';
import { keep } from '../../vizlib/ui/components/_lib/lifecycle.js';

// An element as Streamlit has it: in the page or not, with HTML inside.
function element() {
  return { isConnected: true, firstElementChild: {} };
}

function component() {
  const log = [];
  let count = 0;
  const show = keep(
    () => ({ name: `component ${++count}` }),
    (kept, { parentElement, data }) => {
      parentElement.shown = data;
      log.push(`${kept.name} shows ${data}`);
    },
    kept => log.push(`${kept.name} ends`),
  );
  return { log, call: (home, data) => show({ parentElement: home, data }) };
}

const rest = () => new Promise(resume => setTimeout(resume, 5));

test('an older call that comes late is taken back, and the newer one is shown again', () => {
  const { log, call } = component();
  const home = element();
  call(home, 'new');
  const takeBack = call(home, 'old');
  takeBack();
  assert.equal(home.shown, 'new');
  assert.deepEqual(log, ['component 1 shows new', 'component 1 shows old', 'component 1 shows new']);
});

test('an older call that comes in time is only taken back', () => {
  const { log, call } = component();
  const home = element();
  const takeBack = call(home, 'old');
  call(home, 'new');
  takeBack();
  assert.equal(home.shown, 'new');
  assert.deepEqual(log, ['component 1 shows old', 'component 1 shows new']);
});

test('the only call that is taken back leaves the component alive', () => {
  const { log, call } = component();
  const home = element();
  call(home, 'old')();
  call(home, 'new');
  assert.deepEqual(log, ['component 1 shows old', 'component 1 shows new']);
});

test('calls of before are let go of', async () => {
  const { log, call } = component();
  const home = element();
  call(home, 'first');
  await rest();
  const takeBack = call(home, 'last');
  await rest();
  takeBack();
  assert.deepEqual(log, ['component 1 shows first', 'component 1 shows last']);
});

test('an element that is gone ends its component, fresh HTML begins anew', () => {
  const { log, call } = component();
  const home = element();
  const takeBack = call(home, 'here');
  home.isConnected = false;
  takeBack();
  home.isConnected = true;
  call(home, 'back');
  home.firstElementChild = {};
  call(home, 'again');
  assert.deepEqual(log, [
    'component 1 shows here',
    'component 1 ends',
    'component 2 shows back',
    'component 2 ends',
    'component 3 shows again',
  ]);
});

test('two elements have a component each', () => {
  const { log, call } = component();
  call(element(), 'one');
  call(element(), 'other');
  assert.deepEqual(log, ['component 1 shows one', 'component 2 shows other']);
});
