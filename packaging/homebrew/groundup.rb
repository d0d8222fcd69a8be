# A formula for a tap of one's own: PyTorch comes as PyPI's wheel, which homebrew-core would build from source.
# ADDRESS is the repository's; the hash is that of the release's source archive.
class Groundup < Formula
  desc "Build your own language model on your own machine, and understand every stage"
  homepage "ADDRESS"
  url "ADDRESS/releases/download/v0.1.0/groundup-0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "Apache-2.0"

  depends_on arch: :arm64 # PyTorch has no wheels for macOS on Intel
  depends_on "python@3.13"

  def install
    system "python3.13", "-m", "venv", libexec
    system libexec/"bin/python", "-m", "pip", "install", "#{buildpath}[serve,lab,fast]"
    bin.install_symlink libexec/"bin/groundup"
  end

  service do
    run [opt_bin/"groundup", "serve", "--models", var/"groundup/models"]
    keep_alive successful_exit: false
    environment_variables GROUNDUP_CACHE: var/"groundup/cache"
    log_path var/"log/groundup.log"
    error_log_path var/"log/groundup.log"
  end

  test do
    (testpath/"texts").mkpath
    (testpath/"texts/a.txt").write("The ferry to Holm leaves at a quarter past seven.\n" * 50)
    system bin/"groundup", "index", "texts", "--out", "texts.index"
    answer = shell_output("#{bin}/groundup ask texts.index 'When does the ferry leave?'")
    assert_match "quarter past seven", answer
  end
end
