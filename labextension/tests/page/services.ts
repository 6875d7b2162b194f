/** Stands in for @jupyterlab/services. */
export const ServerConnection = {
  makeSettings: () => ({
    baseUrl: 'http://server/',
    wsUrl: 'ws://server/',
    token: '',
    appendToken: false,
    WebSocket: globalThis.WebSocket
  }),
  makeRequest: (url: string, init: RequestInit) => fetch(url, init)
};
