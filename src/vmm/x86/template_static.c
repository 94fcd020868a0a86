/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C3 makes a processor look like Ivy Bridge, T2 like Haswell, T2A an AMD Milan like
 * what T2 leaves over: what came later is hidden, and the signature is that of the
 * older processor. T2S is T2 for snapshots that move between Skylake and Cascade Lake:
 * it also says the worst of both in IA32_ARCH_CAPABILITIES, by which a guest chooses
 * its mitigations. T2CL gives a Cascade Lake or Ice Lake the face of T2A, and passes on
 * the bits of that register that KVM lets guests have.
 *
 * Names of bits are those of the Intel SDM vol. 2, CPUID, and vol. 4, and of AMD APM
 * vol. 3, appendix E.
 */
#include "vmm/x86/template_static.h"

#include <assert.h>
#include <linux/kvm.h>

#define BIT(n) (1u << (n))

#define CLEAR(bits)                        \
	{                                  \
		.mask = (bits), .value = 0 \
	}
#define CHANGE(off, on)                             \
	{                                           \
		.mask = (off) | (on), .value = (on) \
	}

/* --- leaf 1 ----------------------------------------------------------------- */

/* Stepping, model, type, family and their extensions. */
#define SIGNATURE_MASK 0x0fff3fffu
#define SIGNATURE_IVB  0x000306e4u
#define SIGNATURE_HSW  0x000306f2u
#define SIGNATURE(s)                                 \
	{                                            \
		.mask = SIGNATURE_MASK, .value = (s) \
	}

#define LEAF1_ECX_DTES64  BIT(2)
#define LEAF1_ECX_MONITOR BIT(3)
#define LEAF1_ECX_DS_CPL  BIT(4)
#define LEAF1_ECX_VMX	  BIT(5)
#define LEAF1_ECX_SMX	  BIT(6)
#define LEAF1_ECX_EIST	  BIT(7)
#define LEAF1_ECX_TM2	  BIT(8)
#define LEAF1_ECX_CNXT_ID BIT(10)
#define LEAF1_ECX_SDBG	  BIT(11)
#define LEAF1_ECX_FMA	  BIT(12)
#define LEAF1_ECX_XTPR	  BIT(14)
#define LEAF1_ECX_PDCM	  BIT(15)
#define LEAF1_ECX_DCA	  BIT(18)
#define LEAF1_ECX_MOVBE	  BIT(22)

#define LEAF1_EDX_MCE  BIT(7)
#define LEAF1_EDX_MTRR BIT(12)
#define LEAF1_EDX_PSN  BIT(18)
#define LEAF1_EDX_DS   BIT(21)
#define LEAF1_EDX_ACPI BIT(22)
#define LEAF1_EDX_SS   BIT(27)
#define LEAF1_EDX_TM   BIT(29)
#define LEAF1_EDX_IA64 BIT(30)
#define LEAF1_EDX_PBE  BIT(31)

#define LEAF1_EDX_PLATFORM                                                             \
	(LEAF1_EDX_PSN | LEAF1_EDX_DS | LEAF1_EDX_ACPI | LEAF1_EDX_SS | LEAF1_EDX_TM | \
	 LEAF1_EDX_PBE)

/* --- leaf 7 ----------------------------------------------------------------- */

#define LEAF7_EBX_SGX	     BIT(2)
#define LEAF7_EBX_BMI1	     BIT(3)
#define LEAF7_EBX_HLE	     BIT(4)
#define LEAF7_EBX_AVX2	     BIT(5)
#define LEAF7_EBX_BMI2	     BIT(8)
#define LEAF7_EBX_ERMS	     BIT(9)
#define LEAF7_EBX_INVPCID    BIT(10)
#define LEAF7_EBX_RTM	     BIT(11)
#define LEAF7_EBX_RDT_M	     BIT(12)
#define LEAF7_EBX_MPX	     BIT(14)
#define LEAF7_EBX_RDT_A	     BIT(15)
#define LEAF7_EBX_AVX512F    BIT(16)
#define LEAF7_EBX_AVX512DQ   BIT(17)
#define LEAF7_EBX_RDSEED     BIT(18)
#define LEAF7_EBX_ADX	     BIT(19)
#define LEAF7_EBX_AVX512IFMA BIT(21)
#define LEAF7_EBX_PCOMMIT    BIT(22) /* RDPID in older editions of AMD's manual */
#define LEAF7_EBX_CLFLUSHOPT BIT(23)
#define LEAF7_EBX_CLWB	     BIT(24)
#define LEAF7_EBX_PT	     BIT(25)
#define LEAF7_EBX_AVX512PF   BIT(26)
#define LEAF7_EBX_AVX512ER   BIT(27)
#define LEAF7_EBX_AVX512CD   BIT(28)
#define LEAF7_EBX_SHA	     BIT(29)
#define LEAF7_EBX_AVX512BW   BIT(30)
#define LEAF7_EBX_AVX512VL   BIT(31)

#define LEAF7_EBX_AFTER_HASWELL                                                            \
	(LEAF7_EBX_SGX | LEAF7_EBX_HLE | LEAF7_EBX_RTM | LEAF7_EBX_RDT_M | LEAF7_EBX_MPX | \
	 LEAF7_EBX_RDT_A | LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_RDSEED |     \
	 LEAF7_EBX_ADX | LEAF7_EBX_AVX512IFMA | LEAF7_EBX_CLFLUSHOPT | LEAF7_EBX_CLWB |    \
	 LEAF7_EBX_PT | LEAF7_EBX_AVX512PF | LEAF7_EBX_AVX512ER | LEAF7_EBX_AVX512CD |     \
	 LEAF7_EBX_SHA | LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL)

#define LEAF7_ECX_AVX512_VBMI	   BIT(1)
#define LEAF7_ECX_UMIP		   BIT(2)
#define LEAF7_ECX_PKU		   BIT(3)
#define LEAF7_ECX_OSPKE		   BIT(4)
#define LEAF7_ECX_AVX512_VBMI2	   BIT(6)
#define LEAF7_ECX_GFNI		   BIT(8)
#define LEAF7_ECX_VAES		   BIT(9)
#define LEAF7_ECX_VPCLMULQDQ	   BIT(10)
#define LEAF7_ECX_AVX512_VNNI	   BIT(11)
#define LEAF7_ECX_AVX512_BITALG	   BIT(12)
#define LEAF7_ECX_AVX512_VPOPCNTDQ BIT(14)
#define LEAF7_ECX_LA57		   BIT(16)
#define LEAF7_ECX_RDPID		   BIT(22)
#define LEAF7_ECX_SGX_LC	   BIT(30)

#define LEAF7_ECX_AFTER_IVB                                                                      \
	(LEAF7_ECX_AVX512_VBMI | LEAF7_ECX_UMIP | LEAF7_ECX_PKU | LEAF7_ECX_OSPKE |              \
	 LEAF7_ECX_AVX512_VNNI | LEAF7_ECX_AVX512_VPOPCNTDQ | LEAF7_ECX_LA57 | LEAF7_ECX_RDPID | \
	 LEAF7_ECX_SGX_LC)
#define LEAF7_ECX_OF_ICE_LAKE                                                              \
	(LEAF7_ECX_AVX512_VBMI2 | LEAF7_ECX_GFNI | LEAF7_ECX_VAES | LEAF7_ECX_VPCLMULQDQ | \
	 LEAF7_ECX_AVX512_BITALG)

#define LEAF7_EDX_AVX512_4VNNIW	      BIT(2)
#define LEAF7_EDX_AVX512_4FMAPS	      BIT(3)
#define LEAF7_EDX_FSRM		      BIT(4)
#define LEAF7_EDX_AVX512_VP2INTERSECT BIT(8)

/* --- the others --------------------------------------------------------------- */

#define LEAFD_EAX_MPX	   (BIT(3) | BIT(4))
#define LEAFD_EAX_AVX512   (BIT(5) | BIT(6) | BIT(7))
#define LEAFD_EAX_PKRU	   BIT(9)
#define LEAFD1_EAX_XSAVEC  BIT(1)
#define LEAFD1_EAX_XGETBV1 BIT(2)
#define LEAFD1_EAX_XSAVES  BIT(3)

#define EXT1_ECX_LZCNT	     BIT(5)
#define EXT1_ECX_SSE4A	     BIT(6)
#define EXT1_ECX_MISALIGNSSE BIT(7)
#define EXT1_ECX_PREFETCHW   BIT(8)
#define EXT1_ECX_MONITORX    BIT(29)
#define EXT1_EDX_MMXEXT	     BIT(22)
#define EXT1_EDX_MMX	     BIT(23)
#define EXT1_EDX_FXSR	     BIT(24)
#define EXT1_EDX_FFXSR	     BIT(25)
#define EXT1_EDX_PAGE1GB     BIT(26)

#define EXT8_EBX_CLZERO	   BIT(0)
#define EXT8_EBX_FPERRPTR  BIT(2)
#define EXT8_EBX_WBNOINVD  BIT(9)
#define EXT8_EBX_IBRS_PREF BIT(18)
#define EXT8_EBX_IBRS_SAME BIT(19)

/* --- IA32_ARCH_CAPABILITIES ---------------------------------------------------- */

#define MSR_ARCH_CAPABILITIES 0x10au

#define BIT64(n) (UINT64_C(1) << (n))

#define ARCH_RSBA		  BIT64(2)
#define ARCH_SKIP_L1DFL_VMENTRY	  BIT64(3)
#define ARCH_IF_PSCHANGE_MC_NO	  BIT64(6)
#define ARCH_MCU_CONTROL	  BIT64(9)
#define ARCH_MISC_PACKAGE_CTLS	  BIT64(10)
#define ARCH_ENERGY_FILTERING_CTL BIT64(11)
#define ARCH_DOITM		  BIT64(12)
#define ARCH_FB_CLEAR		  BIT64(17)
#define ARCH_FB_CLEAR_CTRL	  BIT64(18)
#define ARCH_BHI_NO		  BIT64(20)
#define ARCH_XAPIC_DISABLE_STATUS BIT64(21)
#define ARCH_OVERCLOCKING_STATUS  BIT64(23)
#define ARCH_GDS_CTRL		  BIT64(25)
#define ARCH_RESERVED		  (BIT64(16) | BIT64(22) | ~(BIT64(28) - 1))

/* Claimed by neither processor, or needed by one of them. */
static const struct conf_cpu_msr skylake_and_cascade_lake[] = {
	{ .addr = MSR_ARCH_CAPABILITIES,
	  .mask = UINT64_MAX,
	  .value = ARCH_RSBA | ARCH_SKIP_L1DFL_VMENTRY | ARCH_IF_PSCHANGE_MC_NO |
		   ARCH_MISC_PACKAGE_CTLS | ARCH_ENERGY_FILTERING_CTL | ARCH_FB_CLEAR },
};

/* Hides what KVM does not pass on anyway: controls, and states of the host. */
static const struct conf_cpu_msr mitigations_alone[] = {
	{ .addr = MSR_ARCH_CAPABILITIES,
	  .mask = ARCH_MCU_CONTROL | ARCH_MISC_PACKAGE_CTLS | ARCH_ENERGY_FILTERING_CTL |
		  ARCH_DOITM | ARCH_FB_CLEAR_CTRL | ARCH_BHI_NO | ARCH_XAPIC_DISABLE_STATUS |
		  ARCH_OVERCLOCKING_STATUS | ARCH_GDS_CTRL | ARCH_RESERVED },
};

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

/* Every template hides what XSAVE got after AVX. */
#define XSAVE_OF_AVX                                                                              \
	{ .leaf = 0xd,                                                                            \
	  .subleaf = 0,                                                                           \
	  .flags = INDEXED,                                                                       \
	  .reg = { [CONF_CPU_EAX] = CLEAR(LEAFD_EAX_MPX | LEAFD_EAX_AVX512 | LEAFD_EAX_PKRU) } }, \
	{                                                                                         \
		.leaf = 0xd, .subleaf = 1, .flags = INDEXED,                                      \
		.reg = { [CONF_CPU_EAX] = CLEAR(LEAFD1_EAX_XSAVEC | LEAFD1_EAX_XGETBV1 |          \
						LEAFD1_EAX_XSAVES) }                              \
	}

static const struct conf_cpu_leaf c3[] = {
	{ .leaf = 0x1,
	  .reg = { [CONF_CPU_EAX] = SIGNATURE(SIGNATURE_IVB),
		   [CONF_CPU_ECX] = CLEAR(LEAF1_ECX_DTES64 | LEAF1_ECX_MONITOR | LEAF1_ECX_DS_CPL |
					  LEAF1_ECX_VMX | LEAF1_ECX_TM2 | LEAF1_ECX_CNXT_ID |
					  LEAF1_ECX_SDBG | LEAF1_ECX_FMA | LEAF1_ECX_XTPR |
					  LEAF1_ECX_PDCM | LEAF1_ECX_MOVBE),
		   [CONF_CPU_EDX] = CHANGE(LEAF1_EDX_PLATFORM, LEAF1_EDX_MCE | LEAF1_EDX_MTRR) } },
	{ .leaf = 0x7,
	  .flags = INDEXED,
	  .reg = { [CONF_CPU_EBX] = CLEAR(LEAF7_EBX_AFTER_HASWELL | LEAF7_EBX_BMI1 |
					  LEAF7_EBX_AVX2 | LEAF7_EBX_BMI2 | LEAF7_EBX_INVPCID),
		   [CONF_CPU_ECX] = CLEAR(LEAF7_ECX_AFTER_IVB),
		   [CONF_CPU_EDX] = CLEAR(LEAF7_EDX_AVX512_4VNNIW | LEAF7_EDX_AVX512_4FMAPS) } },
	XSAVE_OF_AVX,
	{ .leaf = 0x80000001,
	  .reg = { [CONF_CPU_ECX] = CLEAR(EXT1_ECX_LZCNT | EXT1_ECX_PREFETCHW),
		   [CONF_CPU_EDX] = CLEAR(EXT1_EDX_PAGE1GB) } },
};

/* Leaves 0x1 and 0x7 of T2; T2A has the same, so that a fleet of both has one face. */
#define HASWELL                                                                                \
	{ .leaf = 0x1,                                                                         \
	  .reg = { [CONF_CPU_EAX] = SIGNATURE(SIGNATURE_HSW),                                  \
		   [CONF_CPU_ECX] = CLEAR(LEAF1_ECX_DTES64 | LEAF1_ECX_MONITOR |               \
					  LEAF1_ECX_DS_CPL | LEAF1_ECX_VMX | LEAF1_ECX_SMX |   \
					  LEAF1_ECX_EIST | LEAF1_ECX_TM2 | LEAF1_ECX_CNXT_ID | \
					  LEAF1_ECX_SDBG | LEAF1_ECX_XTPR | LEAF1_ECX_PDCM |   \
					  LEAF1_ECX_DCA),                                      \
		   [CONF_CPU_EDX] = CHANGE(LEAF1_EDX_PLATFORM | LEAF1_EDX_IA64,                \
					   LEAF1_EDX_MCE | LEAF1_EDX_MTRR) } },                \
	{                                                                                      \
		.leaf = 0x7, .flags = INDEXED,                                                 \
		.reg = { [CONF_CPU_EBX] = CHANGE(LEAF7_EBX_AFTER_HASWELL | LEAF7_EBX_PCOMMIT,  \
						 LEAF7_EBX_ERMS),                              \
			 [CONF_CPU_ECX] = CLEAR(LEAF7_ECX_AFTER_IVB | LEAF7_ECX_OF_ICE_LAKE),  \
			 [CONF_CPU_EDX] = CLEAR(LEAF7_EDX_AVX512_4VNNIW |                      \
						LEAF7_EDX_AVX512_4FMAPS | LEAF7_EDX_FSRM |     \
						LEAF7_EDX_AVX512_VP2INTERSECT) }               \
	}

static const struct conf_cpu_leaf t2[] = {
	HASWELL,
	XSAVE_OF_AVX,
	{ .leaf = 0x80000001,
	  .reg = { [CONF_CPU_ECX] = CLEAR(EXT1_ECX_PREFETCHW | EXT1_ECX_MONITORX),
		   [CONF_CPU_EDX] = CLEAR(EXT1_EDX_PAGE1GB) } },
	{ .leaf = 0x80000008, .reg = { [CONF_CPU_EBX] = CLEAR(EXT8_EBX_WBNOINVD) } },
};

/* Leaf 0x80000001 of T2A and T2CL: without what only one vendor has. */
#define OF_BOTH_VENDORS                                                                          \
	{                                                                                        \
		.leaf = 0x80000001,                                                              \
		.reg = { [CONF_CPU_ECX] = CLEAR(EXT1_ECX_SSE4A | EXT1_ECX_MISALIGNSSE |          \
						EXT1_ECX_PREFETCHW | EXT1_ECX_MONITORX),         \
			 [CONF_CPU_EDX] = CLEAR(EXT1_EDX_MMXEXT | EXT1_EDX_MMX | EXT1_EDX_FXSR | \
						EXT1_EDX_FFXSR | EXT1_EDX_PAGE1GB) }             \
	}

static const struct conf_cpu_leaf t2cl[] = {
	HASWELL,
	XSAVE_OF_AVX,
	OF_BOTH_VENDORS,
	{ .leaf = 0x80000008, .reg = { [CONF_CPU_EBX] = CLEAR(EXT8_EBX_WBNOINVD) } },
};

static const struct conf_cpu_leaf t2a[] = {
	HASWELL,
	XSAVE_OF_AVX,
	OF_BOTH_VENDORS,
	{ .leaf = 0x80000008,
	  .reg = { [CONF_CPU_EBX] = CHANGE(EXT8_EBX_CLZERO | EXT8_EBX_FPERRPTR | EXT8_EBX_WBNOINVD,
					   EXT8_EBX_IBRS_PREF | EXT8_EBX_IBRS_SAME) } },
};

/* --- hosts ------------------------------------------------------------------------ */

#define SKYLAKE                                             \
	{                                                   \
		.family = 0x6, .model = 0x55, .stepping = 4 \
	}
#define CASCADE_LAKE                                        \
	{                                                   \
		.family = 0x6, .model = 0x55, .stepping = 7 \
	}
#define ICE_LAKE                                            \
	{                                                   \
		.family = 0x6, .model = 0x6a, .stepping = 6 \
	}
#define MILAN                                                \
	{                                                    \
		.family = 0x19, .model = 0x01, .stepping = 1 \
	}

static const struct host_cpu_model skylake_to_ice_lake[] = { SKYLAKE, CASCADE_LAKE, ICE_LAKE };
static const struct host_cpu_model skylake_to_cascade_lake[] = { SKYLAKE, CASCADE_LAKE };
static const struct host_cpu_model cascade_lake_to_ice_lake[] = { CASCADE_LAKE, ICE_LAKE };
static const struct host_cpu_model milan[] = { MILAN };

#define MODELS(array) .models = (array), .nmodels = ARRAY_SIZE(array)
#define LEAVES(array) .leaves = (array), .nleaves = ARRAY_SIZE(array)
#define MSRS(array)   .msrs = (array), .nmsrs = ARRAY_SIZE(array)

static const struct template_static templates[] = {
	[CONF_CPU_TEMPLATE_C3] = { HOST_CPU_INTEL, MODELS(skylake_to_ice_lake), LEAVES(c3) },
	[CONF_CPU_TEMPLATE_T2] = { HOST_CPU_INTEL, MODELS(skylake_to_ice_lake), LEAVES(t2) },
	[CONF_CPU_TEMPLATE_T2S] = { HOST_CPU_INTEL, MODELS(skylake_to_cascade_lake), LEAVES(t2),
				    MSRS(skylake_and_cascade_lake) },
	[CONF_CPU_TEMPLATE_T2CL] = { HOST_CPU_INTEL, MODELS(cascade_lake_to_ice_lake), LEAVES(t2cl),
				     MSRS(mitigations_alone) },
	[CONF_CPU_TEMPLATE_T2A] = { HOST_CPU_AMD, MODELS(milan), LEAVES(t2a) },
};

const struct template_static *template_static(enum conf_cpu_template name)
{
	assert((unsigned)name < ARRAY_SIZE(templates));
	return &templates[name];
}
