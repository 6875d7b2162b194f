/** What people read goes through `trans`, so that it can be translated. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import ts from 'typescript';
import { expect, it } from 'vitest';

const SOURCES = join(import.meta.dirname, '..', 'src');
/** Attributes and properties whose values people see or hear. */
const SHOWN = ['title', 'label', 'placeholder', 'aria-label', 'caption', 'body', 'okLabel', 'alt', 'description',
  'message', 'hint'];
const WORDS = /\p{L}/u;
/** Names, and what only other programmers read. */
const NAMES = ['LPMX', '°C', 'W'];

function sources() {
  return readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
    .filter(name => /\.tsx?$/.test(name))
    .map(name => ts.createSourceFile(name, readFileSync(join(SOURCES, name), 'utf8'), ts.ScriptTarget.ES2020, true));
}

/** All nodes of the tree for which `wanted` says yes, as `file:line text`. */
function found(file, wanted) {
  const here = [];
  const visit = node => {
    if (wanted(node)) {
      const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      here.push(`${file.fileName}:${line} ${node.getText()}`);
    }
    node.forEachChild(visit);
  };
  visit(file);
  return here;
}

/** Whether there are words in it, but for what is filled in. */
function isText(node) {
  const parts = ts.isTemplateExpression(node)
    ? [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)]
    : ts.isStringLiteralLike(node) || ts.isJsxText(node)
      ? [node.text]
      : [];
  return parts.some(part => WORDS.test(part) && !NAMES.includes(part.trim()));
}

/** The literal that an attribute or property has as its value, also where that is a choice. */
function literals(value) {
  if (value === undefined) {
    return [];
  }
  if (ts.isJsxExpression(value)) {
    return literals(value.expression);
  }
  if (ts.isConditionalExpression(value)) {
    return [...literals(value.whenTrue), ...literals(value.whenFalse)];
  }
  return ts.isStringLiteralLike(value) || ts.isTemplateExpression(value) ? [value] : [];
}

it.each(sources().map(file => [file.fileName, file]))('%s shows no text that cannot be translated', (_, file) => {
  const plain = found(file, node => {
    if (ts.isJsxText(node)) {
      return isText(node);
    }
    if (ts.isJsxExpression(node) && !ts.isJsxAttribute(node.parent)) {
      return literals(node).some(isText);
    }
    if ((ts.isJsxAttribute(node) || ts.isPropertyAssignment(node)) && SHOWN.includes(node.name.getText().replace(/'/g, ''))) {
      return literals(node.initializer).some(isText);
    }
    return false;
  });

  // plugins are described to programmers
  expect(plain.filter(one => !one.includes('description:'))).toEqual([]);
});

it('gives the translator whole texts', () => {
  const made = sources().flatMap(file =>
    found(file, node =>
      ts.isCallExpression(node) && /\btrans\.(__|_n)$|_trans\.(__|_n)$/.test(node.expression.getText())
      && !node.arguments.slice(0, node.expression.getText().endsWith('_n') ? 2 : 1).every(ts.isStringLiteralLike)
    )
  );

  expect(made).toEqual([]);
});
