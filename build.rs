//! Tells the linker where libtorch lies, so that the program starts without `LD_LIBRARY_PATH`.
//!
//! Finding libtorch and compiling against it is the business of `torch-sys`; laying it out is that of `make setup`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_TRAIN").is_none() {
        return; // the viewer links no libtorch
    }
    // torch-sys, a direct dependency with `links = "tch"`, passes on the folder that it linked against.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        println!("cargo:warning=torch-sys did not say where libtorch lies: run `make setup`");
        return;
    };
    let core = lib.join("libtorch_cpu.so");
    println!("cargo:rerun-if-changed={}", core.display());
    if !core.exists() {
        println!(
            "cargo:warning=there is no {}: run `make setup`",
            core.display()
        );
    }
    compile_native(&lib);
    // torch.__version__ of the layout that is linked, for `doctor` and run.json; a Python environment's torch has none.
    if let Some(version) = lib
        .parent()
        .and_then(|root| fs::read_to_string(root.join("build-version")).ok())
    {
        println!("cargo:rustc-env=EPOCHTOP_LIBTORCH={}", version.trim());
    }
    // The path as given comes first: when `.deps/libtorch` is pointed at another libtorch, a built program follows
    // without being linked again. The place behind it comes second: it outlives `.deps`.
    rpath(&lib);
    if let Ok(real) = lib.canonicalize()
        && real != lib
    {
        rpath(&real);
    }
}

/// Compiles the C++ that reaches what tch does not bind, against the headers beside the libraries.
#[cfg(feature = "train")]
fn compile_native(lib: &Path) {
    let sources = ["src/native/native.cpp", "src/native/amx.cpp"];
    for source in sources {
        println!("cargo:rerun-if-changed={source}");
    }
    let include = lib.parent().unwrap_or(lib).join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .includes([include.join("torch/csrc/api/include"), include])
        .warnings(false) // libtorch's headers have some
        .opt_level(3)
        .files(sources)
        .compile("epochtop_native");
}

#[cfg(not(feature = "train"))]
fn compile_native(_: &Path) {}

/// Adds a folder to those that the program searches for libraries when it starts.
fn rpath(folder: &Path) {
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
}
