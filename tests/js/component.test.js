import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { Component, ComponentWithView, mount, REST } from '../../vizlib/ui/components/_lib/component.js';

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
