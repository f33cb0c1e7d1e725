// Every panel in its place. A panel is a module `panels/NAME.js` whose `mount(root, context)` fills the
// element with data-panel="NAME"; in a dialog it fills `.rg-body`, and its root emits "rg-open" when the
// dialog opens.

import { mountLayout } from "./layout.js";
import * as banner from "./panels/banner.js";
import * as bar from "./panels/bar.js";
import * as boundary from "./panels/boundary.js";
import * as compare from "./panels/compare.js";
import * as curves from "./panels/curves.js";
import * as distributions from "./panels/distributions.js";
import * as explain from "./panels/explain.js";
import * as flow from "./panels/flow.js";
import * as graph from "./panels/graph.js";
import * as help from "./panels/help.js";
import * as inspector from "./panels/inspector.js";
import * as keys from "./panels/keys.js";
import * as lessons from "./panels/lessons.js";
import * as network from "./panels/network.js";
import * as save from "./panels/save.js";
import * as setup from "./panels/setup.js";
import * as table from "./panels/table.js";
import * as timeline from "./panels/timeline.js";

const PANELS = {
  ...{
    banner,
    bar,
    boundary,
    compare,
    curves,
    distributions,
    explain,
    flow,
    graph,
    help,
    inspector,
    keys,
    lessons,
  },
  ...{ network, save, setup, table, timeline },
};

/**
 * @param {Document} document
 * @param {{store: import("./store.js").Store, client: import("./client.js").Client, send: (op: string, args?: object, lane?: number) => Promise<object>}} context
 */
export function mountPanels(document, context) {
  for (const root of document.querySelectorAll("[data-panel]")) {
    PANELS[root.dataset.panel].mount(root, context);
  }
  mountLayout(document, context);
}
