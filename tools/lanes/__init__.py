# SPDX-License-Identifier: Apache-2.0
"""Lanes: machines with a stock kvm_amd or kvm_intel, emulated on a machine that has neither."""
