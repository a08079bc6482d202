//! Passes the location of libtorch to the linker as rpath, so that the program starts without `LD_LIBRARY_PATH`, and
//! compiles our C++ code.
//!
//! `torch-sys` finds libtorch and compiles against it; `make setup` installs it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_TRAIN").is_none() {
        return; // the viewer links no libtorch
    }
    // torch-sys, a direct dependency with `links = "tch"`, exports the directory it linked against.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        println!(
            "cargo:warning=torch-sys did not report the location of libtorch: run `make setup`"
        );
        return;
    };
    let core = lib.join("libtorch_cpu.so");
    println!("cargo:rerun-if-changed={}", core.display());
    if !core.exists() {
        println!(
            "cargo:warning={} not found: run `make setup`",
            core.display()
        );
    }
    compile_native(&lib);
    // torch.__version__ of the linked libtorch, for `doctor` and run.json. The torch of a Python environment has no
    // such file.
    if let Some(version) = lib
        .parent()
        .and_then(|root| fs::read_to_string(root.join("build-version")).ok())
    {
        println!("cargo:rustc-env=EPOCHTOP_LIBTORCH={}", version.trim());
    }
    // First the path as given, which may be the symlink `.deps/libtorch`: if the symlink is changed, an existing binary
    // uses the new libtorch without relinking. Then the resolved path, which remains valid if `.deps` is deleted.
    rpath(&lib);
    if let Ok(real) = lib.canonicalize()
        && real != lib
    {
        rpath(&real);
    }
}

/// Compiles the C++ code for functions that tch does not provide, against the headers of the same libtorch.
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
        .warnings(false) // the headers of libtorch cause warnings
        .opt_level(3)
        .files(sources)
        .compile("epochtop_native");
}

#[cfg(not(feature = "train"))]
fn compile_native(_: &Path) {}

/// Adds a directory to the library search path of the program.
fn rpath(folder: &Path) {
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
}
