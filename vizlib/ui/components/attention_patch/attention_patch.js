export default function ({ data }) {
  if (!data || !data.length) return;
  const length = new DataView(data.buffer, data.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + length)));
  document.dispatchEvent(new CustomEvent('vizlib:tile', { detail: { ...header, bytes: data.slice(4 + length) } }));
}
