import { decode } from '../_lib/decoder.js';

export default function ({ data }) {
  if (!data?.length) return;
  const { header, arrays } = decode(data);
  document.dispatchEvent(new CustomEvent('vizlib:patch', { detail: { ...header, attention: arrays.attention } }));
}
