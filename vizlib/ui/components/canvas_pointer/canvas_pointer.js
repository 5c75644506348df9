import { decode } from '../_lib/decoder.js';

export default function ({ data }) {
  if (data?.length) document.dispatchEvent(new CustomEvent('vizlib:open', { detail: decode(data).header }));
}
