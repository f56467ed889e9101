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
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // The shim only calls: optimising it buys nothing and costs compile time.
        .opt_level(1)
        .warnings(false)
        // As libtorch itself was built: some of its classes have more members without it.
        .define("NDEBUG", None)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("cpp/flops.cpp")
        .file("cpp/memory.cpp")
        .file("cpp/shim.cpp")
        .compile("fulmen_torch_shim");
    println!("cargo:rustc-link-search=native={}", libtorch.join("lib").display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    println!("cargo:rustc-link-lib=dl");
}
