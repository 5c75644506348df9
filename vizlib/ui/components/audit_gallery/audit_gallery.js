import { Gallery } from '../../../auditing/report/gallery.js';
import { ComponentWithView, mount } from '../_lib/component.js';
import { create } from '../_lib/dom.js';

const ALL = 'all'; // no preset, in the address, where nothing at all means the first one

class AuditGallery extends ComponentWithView {
  constructor(root) {
    super(root);
    this.open = _place => {};
  }

  load({ gallery, view, opens }) {
    this.takeView(view);
    new Gallery(this.find('gallery'), gallery, {
      state: this.state(gallery),
      changed: state => {
        this.view = {
          preset: state.preset || ALL,
          by: state.by,
          falling: state.falling ? 'yes' : 'no',
          find: state.find,
          model: gallery.models[state.model],
          method: gallery.methods[state.method],
        };
        this.reportView();
      },
      link: row => {
        if (!opens) return null;
        const button = create('button', '', opens);
        button.type = 'button';
        button.onclick = () => this.open(row.place);
        return button;
      },
    });
  }

  /** What the page's view says, without what it leaves open. */
  state(gallery) {
    const { preset, by, falling, find, model, method } = this.view;
    return {
      preset: preset === ALL ? '' : preset || undefined,
      by,
      falling: falling ? falling === 'yes' : undefined,
      find,
      model: gallery.models.indexOf(model),
      method: gallery.methods.indexOf(method),
    };
  }
}

export default mount(AuditGallery, (component, call) => {
  component.open = place => call.setTriggerValue('open', place);
});
