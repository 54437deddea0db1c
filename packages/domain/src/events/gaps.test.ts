/** The order in which numbers become visible, as PostgreSQL's snapshots show it. */
import { describe, expect, it } from 'vitest';
import { createGaps } from './gaps.ts';

describe('numbers in a row', () => {
  it('settle as they come', () => {
    const gaps = createGaps(4);
    expect(gaps.observe([5, 6], 100n)).toEqual([5, 6]);
    expect(gaps.settled).toBe(6);
    expect(gaps.observe([], 101n)).toEqual([]);
    expect(gaps.settled).toBe(6);
  });
});

describe('a missing number', () => {
  it('holds back what is final, not what is new', () => {
    const gaps = createGaps(0);
    expect(gaps.observe([1, 3, 4], 100n)).toEqual([1, 3, 4]);
    expect(gaps.settled).toBe(1);
    expect(gaps.observe([3, 4, 5], 100n)).toEqual([5]);
    expect(gaps.settled).toBe(1);
  });

  it('is new when it appears', () => {
    const gaps = createGaps(0);
    gaps.observe([2], 100n);
    gaps.bound(107n);
    expect(gaps.observe([1, 2], 200n)).toEqual([1]);
    expect(gaps.settled).toBe(2);
  });

  it('is given up only when every transaction older than its horizon has ended', () => {
    const gaps = createGaps(0);
    gaps.observe([2], 100n);
    expect(gaps.unbounded).toBe(true);
    // a snapshot above everything that had ended says nothing about younger transactions that run
    gaps.observe([2], 101n);
    expect(gaps.settled).toBe(0);
    gaps.bound(107n);
    expect(gaps.unbounded).toBe(false);
    gaps.observe([2], 106n);
    expect(gaps.settled).toBe(0);
    gaps.observe([2], 107n);
    expect(gaps.settled).toBe(2);
  });

  it('has a horizon of its own, later than that of one missed before', () => {
    const gaps = createGaps(0);
    gaps.observe([2], 100n);
    gaps.bound(105n);
    gaps.observe([2, 4], 102n);
    gaps.bound(110n);
    gaps.observe([2, 4], 106n);
    expect(gaps.settled).toBe(2);
    gaps.observe([4], 110n);
    expect(gaps.settled).toBe(4);
  });
});
