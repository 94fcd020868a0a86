/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The static CPU templates: which models of host they are meant for and what they
 * change. Only template.c looks at them.
 */
#pragma once

#include "conf/cpu.h"
#include "conf/machine.h"
#include "vmm/x86/host_cpu.h"

struct template_static {
	enum host_cpu_vendor vendor;
	const struct host_cpu_model *models;
	unsigned nmodels;
	const struct conf_cpu_leaf *leaves;
	unsigned nleaves;
	const struct conf_cpu_msr *msrs;
	unsigned nmsrs;
};

/* Of any name but CONF_CPU_TEMPLATE_NONE. */
must_check const struct template_static *template_static(enum conf_cpu_template name);
