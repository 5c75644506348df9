import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { AGAIN, Component, ComponentWithView, mount, REST } from '../../vizlib/ui/components/_lib/component.js';

const MESSAGE = new Uint8Array(readFileSync(new URL('./fixtures/message.bin', import.meta.url)));

function home() {
  return { isConnected: true, firstElementChild: {}, querySelector: () => null };
}

test('a message is loaded once however often it comes, and states are told to the page once the hand rests', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const loads = [];
  const states = [];
  class Kind extends Component {
    load(header, arrays) {
      super.load(header, arrays);
      loads.push(this);
    }
  }
  const show = mount(Kind);
  const parentElement = home();
  const call = { parentElement, data: MESSAGE, setStateValue: (...state) => states.push(state), setTriggerValue() {} };
  show(call);
  show({ ...call, data: MESSAGE.slice() });
  assert.equal(loads.length, 1);
  const [component] = loads;
  assert.equal(component.root, parentElement);
  assert.equal(component.header.title, "Stéfan's cat");
  component.report('view', 1);
  t.mock.timers.tick(REST - 1);
  component.report('view', 2);
  t.mock.timers.tick(REST - 1);
  assert.deepEqual(states, []);
  t.mock.timers.tick(1);
  assert.deepEqual(states, [['view', 2]]);
});

test('what is gone tells nothing any more', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const states = [];
  let destroyed = 0;
  class Kind extends Component {
    load() {
      this.report('view', 1);
    }
    destroy() {
      destroyed++;
    }
  }
  const parentElement = home();
  const end = mount(Kind)({ parentElement, data: MESSAGE, setStateValue: (...state) => states.push(state) });
  parentElement.isConnected = false;
  end();
  t.mock.timers.tick(10 * REST);
  assert.deepEqual([destroyed, states], [1, []]);
});

test('the page does not undo what the hand is doing', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const states = [];
  const component = new ComponentWithView(home());
  component.setState = (...state) => states.push(state);
  component.takeView({ order: 'index' });
  assert.deepEqual(component.view, { order: 'index' });
  component.view.order = 'edge';
  component.takeView({ order: 'index' }); // repeated
  assert.equal(component.view.order, 'edge');
  component.reportView();
  component.takeView({ order: 'variance' }); // late
  assert.equal(component.view.order, 'edge');
  t.mock.timers.tick(REST);
  assert.deepEqual(states, [['view', { order: 'edge' }]]);
  component.takeView({ order: 'edge' });
  component.takeView({ order: 'index' });
  assert.equal(component.view.order, 'index');
});

test('a click is told again until the page says that it heard it, and no more once its element is gone', t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1000 });
  const states = [];
  let made;
  class Kind extends Component {
    load() {
      made = this;
    }
  }
  const parentElement = home();
  const end = mount(Kind)({ parentElement, data: MESSAGE, setStateValue: (...state) => states.push(state) });
  made.header = { heard: 0 };
  made.tell('act', 'stop');
  t.mock.timers.tick(AGAIN);
  assert.deepEqual(states.splice(0), [
    ['act', [1000, 'stop', 1]],
    ['act', [1000, 'stop', 2]],
  ]);
  made.header = { heard: 1000 };
  t.mock.timers.tick(10 * AGAIN);
  assert.deepEqual(states.splice(0), []);

  made.tell('act', 'one');
  made.tell('act', 'another'); // in the same moment, and before the first was heard
  t.mock.timers.tick(AGAIN);
  const [first, ...others] = states.splice(0);
  assert.deepEqual(
    [first, ...others].map(([, [, what, times]]) => [what, times]),
    [
      ['one', 1],
      ['another', 1],
      ['another', 2],
    ],
  );
  assert.notEqual(first[1][0], others[0][1][0]);
  parentElement.isConnected = false;
  end();
  t.mock.timers.tick(10 * AGAIN);
  assert.deepEqual(states, []);
});
