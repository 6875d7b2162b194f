/** Stands in for @jupyterlab/services. */
export const ServerConnection = {
  makeSettings: () => ({ baseUrl: 'http://server/' }),
  makeRequest: (url: string, init: RequestInit) => fetch(url, init)
};
