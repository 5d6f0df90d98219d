import { expect, it } from 'vitest';
import { received, told } from './edited-text.ts';

it('keeps what is typed when what was told before comes back', () => {
  const typedOn = { ...told('2'), text: '' };
  expect(received(typedOn, '2')).toEqual({ text: '', owned: '2' });
});

it('shows what the owner changed by itself', () => {
  expect(received({ text: '3', owned: '2' }, '5')).toEqual({ text: '5', owned: '5' });
});

it('ends with what was told last, though an earlier value comes back in between', () => {
  expect(received(received(told(''), '2'), '')).toEqual({ text: '', owned: '' });
});
