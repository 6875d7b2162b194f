// The module that JupyterLab loads: a container as module federation has them. JupyterLab
// calls `init` with all modules that are shared in the page, and `get` for ours. Its own
// packages and React are never in our bundle; they come from there.
(function (name, shared, bundle) {
  let scope = {};

  // Of several versions the one in use, else the newest: as for singletons.
  function pick(versions) {
    const order = new Intl.Collator('en', { numeric: true }).compare;
    const all = Object.keys(versions).sort(order);
    const used = all.filter(version => versions[version].loaded);
    const list = used.length > 0 ? used : all;
    return versions[list[list.length - 1]];
  }

  async function load(module) {
    if (!scope[module]) {
      return undefined;
    }
    const entry = pick(scope[module]);
    entry.loaded = true;
    return (await entry.get())();
  }

  let loaded;
  function evaluate() {
    loaded =
      loaded ||
      Promise.all(shared.map(load)).then(modules => {
        const found = new Map(shared.map((module, at) => [module, modules[at]]));
        const own = { exports: {} };
        bundle(
          module => {
            if (!found.get(module)) {
              throw new Error(`cannot load the extension "${name}": this page has no "${module}"`);
            }
            return found.get(module);
          },
          own,
          own.exports
        );
        return own.exports;
      });
    return loaded;
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[name] = {
    init: given => {
      scope = given;
    },
    get: async module => {
      if (module !== './extension') {
        throw new Error(`the extension "${name}" has no module "${module}"`);
      }
      const exports = await evaluate();
      return () => exports;
    }
  };
})
