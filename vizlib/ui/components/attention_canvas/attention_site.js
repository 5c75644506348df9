import { decode } from '../_lib/decoder.js';

// One attention as payload.py packs it. A row is what one query gives to every key, a column what one key gets.
export class AttentionSite {
  constructor(facts, array) {
    this.name = facts.name;
    this.title = facts.title;
    this.stage = facts.stage;
    this.heads = facts.heads;
    this.queries = facts.queries;
    this.coding = facts.coding;
    this.width = facts.width; // of q and k
    this.pool = facts.pool ?? 1; // the side of the cells it is pooled to
    this.full = facts.full; // the grids of queries and keys before that
    this.grids = [facts.queries, facts.keys];
    this.names = [facts.query_prefix, facts.key_prefix];
    this.learned = facts.key_prefix.length;
    const tokens = which => this.names[which].length + this.grids[which][0] * this.grids[which][1];
    this.n = tokens(0);
    this.m = tokens(1);
    if (this.coding === 'matrix') {
      this.peaks = array('peaks');
      this.learnedWeights = array('learned');
      this.codes = array('codes');
      this.steps = (2 ** facts.bits - 1) ** 2;
    } else {
      this.q = array('q');
      this.k = array('k');
      this.totals = array('totals');
    }
  }

  // The weights of one query over all keys, into ``out`` from ``start``.
  row(head, query, out, start) {
    const { n, m } = this;
    const row = head * n + query;
    if (this.coding !== 'matrix') {
      for (let key = 0; key < m; key++) out[start + key] = this.weight(row, head * m + key);
      return;
    }
    const { learned } = this;
    const cells = m - learned;
    const factor = this.peaks[row] / this.steps;
    for (let key = 0; key < learned; key++) out[start + key] = this.learnedWeights[row * learned + key];
    for (let cell = 0; cell < cells; cell++) {
      const code = this.codes[row * cells + cell];
      out[start + learned + cell] = code * code * factor;
    }
  }

  // The weights that all queries give to one key, into ``out`` from ``start``.
  column(head, key, out, start) {
    const { n, m } = this;
    if (this.coding !== 'matrix') {
      for (let query = 0; query < n; query++) out[start + query] = this.weight(head * n + query, head * m + key);
      return;
    }
    const { learned } = this;
    const cells = m - learned;
    for (let query = 0; query < n; query++) {
      const row = head * n + query;
      if (key < learned) {
        out[start + query] = this.learnedWeights[row * learned + key];
        continue;
      }
      const code = this.codes[row * cells + key - learned];
      out[start + query] = (code * code * this.peaks[row]) / this.steps;
    }
  }

  weight(query, key) {
    const { width, q, k, totals } = this;
    let score = 0;
    for (let c = 0, a = query * width, b = key * width; c < width; c++) score += q[a + c] * k[b + c];
    return this.coding === 'softmax' ? Math.exp(score - totals[query]) : score / totals[query];
  }
}

export function decodeSites(bytes) {
  const { header, arrays } = decode(bytes);
  return header.sites.map((facts, index) => new AttentionSite(facts, name => arrays[`${index}.${name}`]));
}
