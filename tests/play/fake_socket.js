// In place of the browser's WebSocket: a server that has a picture ready whenever the page has drawn the
// last one. window.rgFake is set by the test before the page's own scripts run: {hidden: [8, 8], plane:
// true}.

(() => {
  const options = window.rgFake ?? {};
  const sizes = [2, ...(options.hidden ?? [8, 8, 8, 8, 8, 8]), 1];
  const grid = 48;
  const layers = sizes.slice(1).map((units, k) => ({
    ...{ name: `dense${k}`, units, inputs: sizes[k], activation: "tanh", also: [], bias: true },
  }));
  const layout = [{ key: "a", layer: 0, shape: [2], offset: 0 }];
  let floats = 2;
  layers.forEach(({ units, inputs }, k) => {
    for (const key of ["W", "b", "z", "a", "delta", "gW", "gb", "uW", "ub"]) {
      const shape = key.endsWith("W") ? [units, inputs] : [units];
      layout.push({ key, layer: k + 1, shape, offset: floats });
      floats += shape.reduce((p, q) => p * q, 1);
    }
  });
  const config = {
    ...{
      dataset: "xor",
      rows: 200,
      noise: 0.2,
      classes: 2,
      test_share: 0.25,
      hidden: sizes.slice(1, -1),
      init: "auto",
    },
    ...{
      activations: sizes.slice(1, -1).map(() => "tanh"),
      output: "auto",
      init_scale: 1,
      loss: "auto",
      seed: 7,
    },
    ...{ optimizer: "sgd", lr: 0.3, momentum: 0, batch_size: 16, l1: 0, l2: 0, clip_norm: null, dropout: 0 },
  };
  const points = { x: [], y: [], split: [] };
  for (let k = 0; k < 200; k += 1) {
    points.x.push([Math.sin(k * 1.7) * 1.2, Math.cos(k * 2.3) * 1.2]);
    points.y.push(k % 2);
    points.split.push(k % 4 === 0 ? 1 : 0);
  }
  const spec = {
    ...{
      t: "spec",
      lane: 0,
      rev: 1,
      config,
      layers,
      layout,
      floats,
      points,
      task: "classes",
      classes: ["0", "1"],
    },
    ...{
      focus: 0,
      inputs: 2,
      parameters: 1,
      rows: 150,
      test_rows: 50,
      batches: 10,
      draft: null,
      lesson: null,
    },
    grid: {
      size: grid,
      domain: [-1.5, 1.5, -1.5, 1.5],
      range: [0, 1],
      maps: 1,
      unit: null,
      small: 0,
      small_size: 24,
    },
  };
  const values = new Float32Array(floats).map((_, k) => Math.sin(k * 12.9898) * 1.5);
  let step = 0;

  function frame() {
    step += 1;
    const hasGrid = step % 2 === 0;
    const buffer = new ArrayBuffer(64 + 4 * floats + 32 * layers.length + (hasGrid ? grid * grid : 0));
    const view = new DataView(buffer);
    [0x52, 0x47, 0x46, 0x31].forEach((byte, k) => view.setUint8(k, byte));
    [64, 0, 1, step, 0, 0, 2 | (hasGrid ? 4 : 0)].forEach((word, k) => view.setUint32(4 + 4 * k, word, true));
    view.setFloat64(32, step, true);
    view.setFloat64(40, step / 10, true);
    for (let k = 0; k < 4; k += 1) view.setFloat32(48 + 4 * k, 0.5, true);
    const tensors = new Float32Array(buffer, 64, floats);
    for (let k = 0; k < floats; k += 1) tensors[k] = values[k] * Math.sin(step * 0.05 + k);
    if (hasGrid) {
      const map = new Uint8Array(buffer, 64 + 4 * floats + 32 * layers.length);
      for (let k = 0; k < map.length; k += 1) {
        map[k] = 127 + 127 * Math.sin((k % grid) * 0.1 + step * 0.02) * Math.cos(k / grid / 9);
      }
    }
    return buffer;
  }

  function state() {
    const rows = (f) => sizes.map((count, layer) => Array.from({ length: count }, (_, k) => f(layer, k)));
    const text = (layer, k) => Math.sin(step * 0.05 + layer * 7 + k).toFixed(3);
    return {
      ...{
        t: "state",
        lane: 0,
        rev: 1,
        step,
        epoch: step / 10,
        phase: 0,
        phase_layer: 0,
        playing: true,
        stale: false,
      },
      ...{
        speed: { n: 1, unit: "steps" },
        verdict: null,
        weights_step: step,
        flow: [],
        map: { low: "0", high: "1" },
      },
      text: {
        step: String(step),
        epoch: (step / 10).toFixed(1),
        loss: "0.5",
        test_loss: "0.5",
        accuracy: "90 %",
        steps_per_second: "60",
      },
      snapshots: { first: 0, last: step, count: 9 },
      focus: { index: "0", x: "0, 1", y: "1", yhat: "0.9", set: "train" },
      units: { z: rows(text), a: rows(text), delta: rows(text), state: rows(() => "") },
    };
  }

  class FakeSocket {
    static OPEN = 1;

    constructor() {
      this.readyState = 1;
      this.sent = 0;
      setTimeout(() => this.onopen());
    }

    tell(message) {
      this.onmessage({
        data: typeof message === "object" && !(message instanceof ArrayBuffer)
          ? JSON.stringify(message)
          : message,
      });
    }

    send(text) {
      const message = JSON.parse(text);
      if (message.t === "auth") this.begin();
      else if (message.t === "ack") setTimeout(() => this.tell(frame()));
      else this.tell({ t: "ok", id: message.id, result: {} });
    }

    begin() {
      const choices = {
        activations: ["tanh", "relu"],
        outputs: ["auto"],
        optimizers: ["sgd"],
        initialisers: ["auto"],
        losses: ["auto"],
        datasets: ["xor"],
      };
      this.tell({
        t: "hello",
        v: 1,
        package: "retrograd",
        version: "0",
        session: "s",
        dtype: "float64",
        limits: {},
        choices,
        lessons: [],
        given: false,
      });
      this.tell(spec);
      this.tell(state());
      this.tell(frame());
      this.tell(frame());
      let told = 0;
      setInterval(() => {
        this.tell(state());
        const loss = Array.from(
          { length: step - told },
          (_, k) => [told + k + 1, 1 / (1 + 0.01 * (told + k))],
        );
        this.tell({
          t: "curve",
          lane: 0,
          whole: told === 0,
          from_step: told,
          loss,
          test_loss: [[step, 0.5]],
          accuracy: [[step, 0.9]],
          events: [],
        });
        told = step;
      }, 100);
    }

    close() {}
  }
  window.WebSocket = FakeSocket;
})();
