// Boots the page: a transport, the client, the store, and every panel in its place.

import { Client } from "./client.js";
import { Store } from "./store.js";
import { connect, takeToken } from "./transport.js";
import { mountPanels } from "./panels.js";

const store = new Store();
const token = takeToken(location, history, sessionStorage);
const client = new Client(store, (handlers) => connect({ url: `ws://${location.host}/ws`, token, ...handlers }));
mountPanels(document, { store, client, send: client.send.bind(client) });
