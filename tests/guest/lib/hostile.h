/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks on one device while another one works.
 *
 * The victim is the device of the kind that `victim=2' (block) or `victim=4' (entropy)
 * on the command line says; the bystander is the second disk. Each attack goes the same
 * way: the bystander gets the first of its requests, the victim the attack; the victim
 * must come to the expected end, the bystander complete exactly BYSTANDER requests with
 * the right data, and a reset must bring the victim back to work.
 *
 * Before the first attack and after the last the payload gives the host's test its turn
 * (lines READY and DONE) to look at the monitor's descriptors and memory.
 */
#pragma once

#include "lib/virtio.h"

enum { BYSTANDER = 1000 };

enum outcome {
	BROKEN,	  /* needs a reset, and nothing was completed */
	ANSWERED, /* the chain came back */
	EITHER,	  /* one of the two */
	ANY,	  /* not waited for */
};

/* Set by hostile_begin(). */
extern uint64_t victim;
extern bool victim_is_block;
/* The victim's: all zero before each attack but for one request. */
extern struct queue *vq;

/* Good parts for chains. */
extern struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
} blk_in;
extern uint8_t vdata[1024];
extern uint8_t vstatus;

/* Starts both devices. `features' are accepted beside VERSION_1, as far as offered. */
void hostile_begin(uint64_t features);

/* Whether the victim was given the feature. */
bool victim_has(uint64_t feature);

/* The chain at `head' of vq is the attack. The used length if it came back. */
uint32_t attack(enum outcome outcome, uint16_t head);

/* The same for attacks that are no chain: between the two, the attack. */
void attack_begin(void);
uint32_t attack_end(enum outcome outcome, uint16_t head);

/* Whether the victim needs a reset. */
bool victim_broke(void);

/* Resets and starts the victim again, and sees that it works. attack() does it itself. */
void revive(void);

/* Fills desc[0..n) of vq; the rest stays. */
void chain(unsigned n, const struct desc *desc);

/* A chain at 0 that the victim would serve, of vdata's first 512 bytes. */
void good_chain(void);

/* Prints what was done, ends with the host's turn. */
void hostile_end(void);
