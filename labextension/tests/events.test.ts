import { expect, it } from 'vitest';

import { EventParser } from '../src/api/events';

it('gives an event once its empty line has come, however the pieces fall', () => {
  const parser = new EventParser();

  expect(parser.push('event: task\nda')).toEqual([]);
  expect(parser.push('ta: {"id":')).toEqual([]);
  expect(parser.push('\ndata: 7}\n')).toEqual([]);
  expect(parser.push('\nevent: next\ndata: 1\n\n')).toEqual([
    { name: 'task', data: { id: 7 } },
    { name: 'next', data: 1 }
  ]);
});

it('takes carriage returns and comments', () => {
  expect(new EventParser().push(': still here\r\n\r\nevent:a\r\ndata:[]\r\n\r\n')).toEqual([
    { name: 'a', data: [] }
  ]);
});
