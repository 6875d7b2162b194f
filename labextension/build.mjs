// Bundles src/ into built/, as JupyterLab expects a prebuilt extension; `--watch` goes on doing so.
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { context } from 'esbuild';

const HERE = import.meta.dirname;
const about = JSON.parse(await readFile(join(HERE, 'package.json'), 'utf8'));
const built = join(HERE, process.env.LPMX_PANEL_OUTPUT ?? about.jupyterlab.outputDir);
const shared = Object.keys(about.peerDependencies);
const version = process.env.LPMX_VERSION ?? about.version;

/** Write what the bundler made, under a name that changes with it: browsers keep what they have. */
async function publish(code) {
  const hash = createHash('sha256').update(code).digest('hex').slice(0, 20);
  const load = `static/remoteEntry.${hash}.js`;
  await mkdir(join(built, 'static'), { recursive: true });
  for (const old of await readdir(join(built, 'static'))) {
    await rm(join(built, 'static', old));
  }
  await writeFile(join(built, load), code);
  const schemas = join(built, 'schemas', about.name);
  await rm(schemas, { recursive: true, force: true });
  await cp(join(HERE, about.jupyterlab.schemaDir), schemas, { recursive: true });
  const described = {
    name: about.name,
    version,
    description: about.description,
    license: about.license,
    dependencies: about.peerDependencies,
    jupyterlab: {
      extension: true,
      schemaDir: 'schemas',
      _build: { load, extension: './extension' }
    }
  };
  await writeFile(join(schemas, 'package.json.orig'), JSON.stringify(described, null, 2) + '\n');
  await writeFile(join(built, 'package.json'), JSON.stringify(described, null, 2) + '\n');
  await cp(join(HERE, 'install.json'), join(built, 'install.json'));
}

const container = (await readFile(join(HERE, 'container.js'), 'utf8')).trimEnd();
const bundling = await context({
  entryPoints: [join(HERE, 'src', 'index.ts')],
  bundle: true,
  write: false,
  format: 'cjs',
  target: 'es2020',
  charset: 'utf8',
  minify: !process.argv.includes('--watch'),
  external: shared,
  loader: { '.css': 'text', '.svg': 'text' },
  banner: {
    js: `${container}(${JSON.stringify(about.name)}, ${JSON.stringify(shared)}, function (require, module, exports) {`
  },
  footer: { js: '});' },
  logLevel: 'warning',
  plugins: [
    {
      name: 'publish',
      setup(build) {
        build.onEnd(async result => {
          if (result.errors.length === 0) {
            await publish(result.outputFiles[0].text);
          }
        });
      }
    }
  ]
});
if (process.argv.includes('--watch')) {
  await bundling.watch();
} else {
  try {
    await bundling.rebuild();
  } catch {
    process.exitCode = 1; // what is wrong has been said
  }
  await bundling.dispose();
}
