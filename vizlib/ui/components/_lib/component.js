import { decode, sameNumbers } from './decoder.js';
import { finder, photographUrl } from './dom.js';
import { offerFullScreen } from './full_screen.js';
import { keep } from './lifecycle.js';

/** @typedef {import('./lifecycle.js').Call} Call */

export const REST = 350; // milliseconds without a change before the page hears of it
export const AGAIN = 2000; // milliseconds after which a click that the page has not answered is told again
const TIMES = 10; // and as often at most

/** What draws in an element: ``mount`` makes one and hands it each message that is new, by ``load(header, arrays)``. */
export class Component {
  /** Whether it shows a map, which a button has fill the screen. */
  static fullScreen = false;

  /** @param {any} root the element it draws in */
  constructor(root) {
    this.root = root;
    this.find = finder(root);
    /** @type {any} what the last message said */
    this.header = undefined;
    /** @type {Record<string, any>} and the arrays that it brought */
    this.arrays = {};
    /** @type {Uint8Array | undefined} */
    this.bytes = undefined;
    /** @type {ReturnType<typeof setTimeout> | number} */
    this.waiting = 0;
    /** The number of the last click that was told, and what tells it again. */
    this.told = 0;
    /** @type {ReturnType<typeof setTimeout> | number} */
    this.telling = 0;
    /** The address of the photograph, which is given back at the end. */
    this.url = '';
    /** @type {(name: string, value: any) => void} */
    this.setState = () => {};
    /** Takes the button away that has it fill the screen, where there is one. */
    this.withoutButton = () => {};
  }

  /**
   * @param {any} header
   * @param {Record<string, any>} arrays
   */
  load(header, arrays) {
    Object.assign(this, { header, arrays });
  }

  /**
   * The address of a photograph in place of the last one.
   * @param {Uint8Array<any>} jpeg
   */
  replacePhotograph(jpeg) {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = photographUrl(jpeg);
    return this.url;
  }

  /**
   * Tell the page of a state once the hand rests.
   * @param {string} name
   * @param {any} value
   */
  report(name, value) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.waiting = 0;
      this.setState(name, value);
    }, REST);
  }

  /**
   * Tell the page of a click as [its number, what was clicked, the time of telling], and again until a message says by
   * ``heard`` that it came: Streamlit drops what a part of a page sends that a run of the whole page has replaced.
   * @param {string} name
   * @param {any} what
   */
  tell(name, what) {
    const number = Math.max(Date.now(), this.told + 1);
    this.told = number;
    let times = 0;
    const again = () => {
      if (this.header.heard === number || times === TIMES) return;
      times += 1;
      this.telling = setTimeout(again, AGAIN);
      this.setState(name, [number, what, times]);
    };
    clearTimeout(this.telling);
    again();
  }

  destroy() {}
}

/** A component whose page keeps its view in the address; the visitor's hand goes before what the page repeats. */
export class ComponentWithView extends Component {
  /** @param {any} root */
  constructor(root) {
    super(root);
    /** @type {any} */
    this.view = {};
    this.given = '';
  }

  /** @param {any} view what the page says */
  takeView(view) {
    const given = JSON.stringify(view);
    if (given === this.given) return;
    this.given = given;
    if (!this.waiting) this.view = view;
  }

  reportView() {
    this.report('view', { ...this.view });
  }
}

/**
 * A default export that draws with one component for each element it is called for. ``also(component, call)`` takes
 * what the component needs of a call beside its data.
 * @param {(new (root: any) => Component) & { fullScreen: boolean }} Kind
 * @param {(component: any, call: Call) => void} [also]
 */
export function mount(Kind, also) {
  return keep(
    home => {
      const component = new Kind(home.querySelector('.kit') ?? home);
      /** @type {HTMLElement | null} */
      const element = Kind.fullScreen && document.fullscreenEnabled ? home.querySelector('section, figure') : null;
      if (element) component.withoutButton = offerFullScreen(element);
      return component;
    },
    (/** @type {Component} */ component, call) => {
      component.setState = call.setStateValue;
      also?.(component, call);
      const bytes = call.data;
      if (!bytes?.length || sameNumbers(component.bytes, bytes)) return;
      component.bytes = bytes;
      const { header, arrays } = decode(bytes);
      component.load(header, arrays);
    },
    (/** @type {Component} */ component) => {
      clearTimeout(component.waiting);
      clearTimeout(component.telling);
      component.withoutButton();
      if (component.url) URL.revokeObjectURL(component.url);
      component.destroy();
    },
  );
}
