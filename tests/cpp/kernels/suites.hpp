// The groups of checks; each counts its failures in check::failures.
#pragma once

void check_gemm();
void check_products();
void check_elementwise();
void check_reductions();
void check_rows();
void check_updates();
void check_teams();
void check_forks();
void check_random();

void bench_gemm();
