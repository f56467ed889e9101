//! Compiles the C++ shim against the libtorch that `tch` is linked with.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=cpp");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) =
        env::var_os("LIBTORCH").map(PathBuf::from).filter(|path| path.join("include").is_dir())
    else {
        println!(
            "cargo:warning=libtorch is not set up: run `make setup` (or set LIBTORCH), then build again"
        );
        std::process::exit(1);
    };
    let include = libtorch.join("include");
    let cpp = |opt_level| {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .opt_level(opt_level)
            // As libtorch itself was built: its headers lay out some classes by it.
            .define("NDEBUG", None)
            .warnings(false)
            .include(&include)
            .include(include.join("torch/csrc/api/include"));
        build
    };
    // The shim only calls: optimising it buys nothing and costs compile time.
    cpp(1)
        .files(
            [
                "shim",
                "gradients",
                "optimizers_fused",
                "optimizers_foreach",
                "profiler",
                "watch",
                "flops",
                "memory",
            ]
            .map(|name| format!("cpp/{name}.cpp")),
        )
        .compile("fulmen_torch_shim");
    // Here is where the loops are. Without OpenMP, `at::parallel_for` is a plain loop of one thread.
    let mut kernels = cpp(3);
    if kernels.get_compiler().is_like_gnu() {
        kernels.flag("-fopenmp");
        // Of the versions of a loop, that for AVX-512 uses it: GCC would take half of its width. Other compilers' targets have no such flag.
        kernels.flag_if_supported("-mprefer-vector-width=512");
        // libtorch's own, so that there is one pool of threads.
        println!("cargo:rustc-link-lib=gomp");
    } else {
        println!("cargo:warning=the C++ compiler is not GCC: Fulmen's own kernels will use one thread");
    }
    kernels
        .files(
            ["attention", "copy", "feed_forward", "gelu", "lstm", "matmul", "operators", "winograd"]
                .map(|name| format!("cpp/{name}.cpp")),
        )
        .compile("fulmen_torch_kernels");
    println!("cargo:rustc-link-search=native={}", libtorch.join("lib").display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    println!("cargo:rustc-link-lib=dl");
}
